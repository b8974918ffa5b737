"""Who is told what: the secrets of the compose system as files, each service's in a directory of its own."""

import os
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from urllib.parse import quote

from deploy.docker import broker
from services.common.settings import SECRETS_DIR

# Users inside the images; 0 is for images that drop to their own user by themselves.
SERVICES_UID: Final = 10001
RABBITMQ_UID: Final = 999
GRAFANA_UID: Final = 472


def _token() -> str:
    return secrets.token_urlsafe(32)


def _access_key() -> str:
    return secrets.token_hex(10)


# Every secret by name, and how one is made.  A file of that name among the given ones has precedence.
GENERATED: Final[Mapping[str, Callable[[], str]]] = {
    "amqp_password": _token,
    "rabbitmq_admin_password": _token,
    "rabbitmq_monitor_password": _token,
    "s3_access_key": _access_key,
    "s3_secret_key": _token,
    "ticket_secret": _token,
    "postgres_password": _token,
    "grafana_password": _token,
}
# Never made up, taken if given: the addresses of a broker or a database elsewhere.
OPTIONAL: Final = ("amqp_url", "rabbitmq_management_url", "database_url", "jwt_secret")


@dataclass(frozen=True, slots=True)
class SecretFile:
    """A file below the directory of secrets, for the eyes of one user alone."""

    path: str
    text: str
    uid: int


def values(given: Path, kept: Path) -> dict[str, str]:
    """All secrets by name: those in `given`, else those that were made before and lie in `kept`, else new ones."""
    known: dict[str, str] = {}
    for name in (*GENERATED, *OPTIONAL):
        # What was given once and is not given any more must not live on as if it had been made here.
        places = (given, kept) if name in GENERATED else (given,)
        found = next((text for place in places if (text := _read(place / name))), None)
        if found is not None:
            known[name] = found
        elif name in GENERATED:
            known[name] = GENERATED[name]()
    return known


def files(
    known: Mapping[str, str], *, job_timeout_s: float, postgres: bool, mounted_at: str = SECRETS_DIR
) -> tuple[SecretFile, ...]:
    """The files to write.

    Args:
        known: secrets by name, as from `values`.
        job_timeout_s: the setting of that name.
        postgres: whether the compose file's own PostgreSQL is to be used.
        mounted_at: where a container finds the files that are for it.
    """
    amqp_url = (
        known.get("amqp_url") or f"amqp://{broker.SERVICE_USER}:{quote(known['amqp_password'], safe='')}@rabbitmq:5672/"
    )
    database_url = known.get("database_url")
    if database_url is None and postgres:
        database_url = f"postgresql://video:{quote(known['postgres_password'], safe='')}@postgres:5432/video"
    store = {"s3_access_key": known["s3_access_key"], "s3_secret_key": known["s3_secret_key"]}
    gateway = {"amqp_url": amqp_url, "ticket_secret": known["ticket_secret"], **store}
    gateway |= {"database_url": database_url} if database_url else {}
    gateway |= {"jwt_secret": known["jwt_secret"]} if "jwt_secret" in known else {}
    passwords = {
        broker.SERVICE_USER: known["amqp_password"],
        broker.ADMIN_USER: known["rabbitmq_admin_password"],
        broker.MONITOR_USER: known["rabbitmq_monitor_password"],
    }
    rabbitmq = {
        "rabbitmq.conf": broker.configuration(f"{mounted_at}/definitions.json", job_timeout_s),
        "definitions.json": broker.definitions_text(passwords),
        "enabled_plugins": broker.enabled_plugins(),
        "admin_password": known["rabbitmq_admin_password"],
    }
    return (
        *_of("kept", 0, {name: known[name] for name in GENERATED}),
        *_of("gateway", SERVICES_UID, gateway),
        *_of("notifier", SERVICES_UID, {"amqp_url": amqp_url, "ticket_secret": known["ticket_secret"]}),
        *_of("transcoder", SERVICES_UID, {"amqp_url": amqp_url, **store}),
        *_of("store", SERVICES_UID, store),
        *_of("rabbitmq", RABBITMQ_UID, rabbitmq),
        *_of("minio", 0, {"root_user": known["s3_access_key"], "root_password": known["s3_secret_key"]}),
        *_of("postgres", 0, {"password": known["postgres_password"]}),
        *_of("grafana", GRAFANA_UID, {"admin_password": known["grafana_password"]}),
    )


def write(root: Path, wanted: tuple[SecretFile, ...]) -> None:
    """Make `root` hold exactly the wanted files; each is replaced whole or not at all.

    Raises:
        OSError: the directory cannot be written, or owners not be set.
    """
    paths = {root / item.path for item in wanted}
    for item in wanted:
        path = root / item.path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.parent.chmod(0o700)
        _own(path.parent, item.uid)
        part = path.with_name(f".{path.name}.part")
        part.unlink(missing_ok=True)
        with os.fdopen(os.open(part, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o400), "w") as file:
            file.write(item.text)
        _own(part, item.uid)
        part.replace(path)
    for path in root.glob("*/*"):
        if path not in paths:
            path.unlink()


def _of(directory: str, uid: int, texts: Mapping[str, str]) -> tuple[SecretFile, ...]:
    return tuple(SecretFile(f"{directory}/{name}", text, uid) for name, text in texts.items())


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip() or None
    except (FileNotFoundError, NotADirectoryError):
        return None


def _own(path: Path, uid: int) -> None:
    if os.geteuid() == 0:
        os.chown(path, uid, uid)
