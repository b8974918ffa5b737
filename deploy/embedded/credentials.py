"""Secrets of the embedded run: made once, kept in one private file, never printed."""

import os
import secrets
from dataclasses import dataclass, field, fields
from pathlib import Path


def _token() -> str:
    return secrets.token_urlsafe(32)


@dataclass(frozen=True, slots=True, repr=False)
class Credentials:
    """Each value is URL-safe text, so that it fits into an URL, an environment and a configuration file."""

    s3_access_key: str = field(default_factory=lambda: secrets.token_hex(10))
    s3_secret_key: str = field(default_factory=_token)
    amqp_password: str = field(default_factory=_token)
    erlang_cookie: str = field(default_factory=lambda: secrets.token_hex(20))
    ticket_secret: str = field(default_factory=_token)


def load_or_create(path: Path) -> Credentials:
    """Read `NAME=value` lines from `path`; values that are missing are made and added to it (mode 0600).

    Raises:
        OSError: the file can't be read or written.
    """
    known = _parse(path.read_text()) if path.exists() else {}
    names = [item.name for item in fields(Credentials)]
    credentials = Credentials(**{name: known[name] for name in names if name in known})
    if any(name not in known for name in names):
        _write(path, "".join(f"{name.upper()}={getattr(credentials, name)}\n" for name in names))
    return credentials


def _parse(text: str) -> dict[str, str]:
    pairs = (line.partition("=") for line in text.splitlines())
    return {name.strip().lower(): value.strip() for name, separator, value in pairs if separator and value.strip()}


def _write(path: Path, text: str) -> None:
    # Whole or not at all: half a file would lock the run out of its own broker.
    part = path.with_name(path.name + ".part")
    part.unlink(missing_ok=True)
    part.touch(mode=0o600, exist_ok=False)
    with part.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    part.replace(path)
