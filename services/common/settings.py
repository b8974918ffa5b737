"""Settings from the environment: typed, frozen, and all that is wrong said at once, before anything starts."""

import os
import re
import sys
from ipaddress import ip_address
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, TypeVar

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict

# Where orchestrators put secrets as files, each named like its setting; the environment has precedence.
SECRETS_DIR = "/run/secrets"

_SIZE = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*([kmgt]?i?b?)\s*$", re.IGNORECASE)
_SIZE_UNITS = {"": 1, "k": 1000, "m": 1000**2, "g": 1000**3, "t": 1000**4}
_SIZE_UNITS |= {"ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30, "ti": 1 << 40}
_SECONDS = re.compile(r"^\s*(\d+(?:\.\d+)?)\s*(ms|s|m|h|d)?\s*$", re.IGNORECASE)
_SECONDS_UNITS = {None: 1.0, "ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def parse_size(value: Any) -> Any:
    """Bytes from `500MB`, `2GiB` or a plain number; anything else is left for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    match = _SIZE.match(value)
    if match is None:
        raise ValueError("write a size such as 500MB, 2GiB or a number of bytes")
    unit = match[2].lower().removesuffix("b")
    return int(float(match[1]) * _SIZE_UNITS[unit])


def parse_seconds(value: Any) -> Any:
    """Seconds from `90`, `90s`, `15m` or `2h`; anything else is left for pydantic to refuse."""
    if not isinstance(value, str):
        return value
    match = _SECONDS.match(value)
    if match is None:
        raise ValueError("write a time such as 90, 90s, 15m or 2h")
    return float(match[1]) * _SECONDS_UNITS[match[2].lower() if match[2] else None]


def is_loopback(host: str) -> bool:
    """True if only programs of this machine can reach `host`."""
    if host == "localhost":
        return True
    try:
        return ip_address(host).is_loopback
    except ValueError:
        return False


def _http_url(value: str) -> str:
    if not re.match(r"^https?://[^/?#\s]+/?$", value):
        raise ValueError("write http://host:port or https://host:port, without a path")
    return value.rstrip("/")


def _http_base(value: str) -> str:
    if not re.match(r"^https?://[^?#\s]+$", value):
        raise ValueError("write http://host:port or https://host/path, without a query")
    return value.rstrip("/")


ByteSize = Annotated[int, BeforeValidator(parse_size), Field(gt=0)]
Seconds = Annotated[float, BeforeValidator(parse_seconds), Field(ge=0)]
HttpUrl = Annotated[str, AfterValidator(_http_url)]
HttpBase = Annotated[str, AfterValidator(_http_base)]
Port = Annotated[int, Field(ge=0, le=65535)]
Bucket = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]$")]


class CommonSettings(BaseSettings):
    """What every service needs: where the broker and the store are, and how to log."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    amqp_url: SecretStr = Field(
        SecretStr("amqp://guest:guest@127.0.0.1:5672/"), description="RabbitMQ, with user, password and vhost"
    )
    s3_endpoint: HttpUrl = Field("http://127.0.0.1:9000", description="The object store, as the services reach it")
    s3_access_key: str = Field("minioadmin", description="Access key of the object store")
    s3_secret_key: SecretStr = Field(SecretStr("minioadmin"), description="Secret key of the object store")
    s3_region: str = Field("us-east-1", description="Region that signatures name; it is never looked up")
    s3_bucket: Bucket = Field("videos", description="The bucket for uploads and results")
    data_dir: Path = Field(Path(".data"), description="Directory for all that a service keeps on disk")
    log_level: Literal["debug", "info", "warning", "error"] = Field("info", description="Least level that is logged")
    log_format: Literal["auto", "json", "console"] = Field(
        "auto",
        description="`json` one object a line, `console` for people, `auto` by whether stderr is a terminal",
    )
    otel_exporter_otlp_endpoint: HttpBase | None = Field(
        None,
        description="OpenTelemetry collector that spans go to (OTLP over HTTP, `http://collector:4318`); unset for "
        "none. Needs `cloud-video-conversion[otel]`; the SDK's other `OTEL_` variables hold too",
    )
    max_retries: int = Field(3, ge=0, le=100, description="Automatic new attempts of a job after the first")
    job_timeout: Seconds = Field(
        3600.0, gt=0, description="A job that is PROCESSING and silent for longer is taken as stuck"
    )
    max_upload_size: ByteSize = Field(10**9, description="Largest input accepted (500MB, 2GiB or bytes)")
    shutdown_timeout: Seconds = Field(10.0, description="Time a service may take to stop before it is cut short")


Settings = TypeVar("Settings", bound=BaseSettings)


class SettingsError(Exception):
    """The environment does not make sense; the text names each setting and what is wrong with it."""


def _secrets_dir() -> Path | None:
    path = Path(os.environ.get("SECRETS_DIR") or SECRETS_DIR)
    return path if path.is_dir() else None


def load(cls: type[Settings]) -> Settings:
    """Read `cls` from the environment, and from files in `SECRETS_DIR` what the environment does not say.

    Raises:
        SettingsError: with one line for each wrong setting; values are not repeated, as they may be secret.
    """
    try:
        return cls(_secrets_dir=_secrets_dir())
    except ValidationError as error:
        lines = []
        for item in error.errors(include_url=False, include_input=False, include_context=False):
            name = ".".join(str(part) for part in item["loc"]).upper() or "settings"
            lines.append(f"{name}: {item['msg'].removeprefix('Value error, ')}")
        raise SettingsError("\n".join(lines)) from None


def load_or_exit(cls: type[Settings]) -> Settings:
    """`load`, for a program's first line: says what is wrong on stderr and exits with 2."""
    try:
        return load(cls)
    except SettingsError as error:
        refuse(error)


def refuse(error: SettingsError) -> NoReturn:
    """End a program that cannot begin: says what is wrong on stderr and exits with 2."""
    sys.stderr.write(f"These settings are wrong:\n{error}\n")
    raise SystemExit(2) from None
