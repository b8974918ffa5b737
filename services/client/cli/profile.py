"""Where the service is: from the command line, the environment, or a profile of the configuration file.

# ~/.config/cvc/config.toml ($CVC_CONFIG names another one)
default = "home"

[profiles.home]
url = "http://localhost:8080"

[profiles.work]
url = "https://videos.example.com"
api_key = "vk_…"          # or api_key_file = "~/.secrets/videos"
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from services.client.base import DEFAULT_URL

_KNOWN: Final = frozenset({"url", "api_key", "api_key_file"})


class ProfileError(Exception):
    """The configuration can't be used; the text says why."""


@dataclass(frozen=True, slots=True)
class Profile:
    """A service, and the key to it."""

    url: str = DEFAULT_URL
    api_key: str | None = field(default=None, repr=False)


def config_path(environment: Mapping[str, str]) -> Path:
    """Where the configuration file is, if there is one."""
    if given := environment.get("CVC_CONFIG"):
        return Path(given)
    base = environment.get("XDG_CONFIG_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".config"
    return Path(base) / "cvc" / "config.toml"


def resolve(environment: Mapping[str, str], *, url: str | None, name: str | None) -> Profile:
    """The service to use: what was given, else the environment, else the profile, else this machine.

    A key belongs to the address it is written beside: it is not sent to another one that was given instead.

    Raises:
        ProfileError: the file can't be read, or has no such profile.
    """
    stored = _stored(config_path(environment), name or environment.get("CVC_PROFILE"))
    address = (url or environment.get("CVC_URL") or stored.url).rstrip("/")
    own_key = stored.api_key if address == stored.url.rstrip("/") else None
    return Profile(address, environment.get("CVC_API_KEY") or own_key)


def _stored(path: Path, name: str | None) -> Profile:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        if name:
            raise ProfileError(f"There is no profile {name}: {path} does not exist.") from None
        return Profile()
    except OSError as error:
        raise ProfileError(f"{path} can't be read: {error.strerror}.") from None
    try:
        config = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ProfileError(f"{path}: {error}.") from None
    profiles = config.get("profiles", {})
    wanted = name or config.get("default")
    if wanted is None:
        return Profile()
    if not isinstance(profiles, dict) or not isinstance(profiles.get(wanted), dict):
        known = ", ".join(profiles) if isinstance(profiles, dict) and profiles else "none"
        raise ProfileError(f"There is no profile {wanted} in {path}; there are: {known}.")
    return _profile(path, wanted, profiles[wanted])


def _profile(path: Path, name: str, table: dict[str, Any]) -> Profile:
    if unknown := table.keys() - _KNOWN:
        raise ProfileError(f"{path}: profile {name} has {', '.join(sorted(unknown))}, which is not known.")
    if not all(isinstance(value, str) for value in table.values()):
        raise ProfileError(f"{path}: every value of profile {name} is text.")
    key = table.get("api_key")
    if file := table.get("api_key_file"):
        try:
            key = Path(file).expanduser().read_text(encoding="utf-8").strip()
        except OSError as error:
            raise ProfileError(f"{file}, the key of profile {name}, can't be read: {error.strerror}.") from None
    return Profile(table.get("url", DEFAULT_URL), key)
