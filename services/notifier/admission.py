"""Who may connect: how many, from which pages, with which tickets.  Decides, and does no I/O."""

from collections import Counter
from dataclasses import dataclass
from typing import Final
from urllib.parse import urlsplit

from services.common.jobs import DEFAULT_TENANT
from services.common.tickets import InvalidTicketError, verify
from services.notifier.protocol import CloseCode
from services.notifier.settings import NotifierSettings

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}


@dataclass(frozen=True, slots=True)
class Knock:
    """A request to connect: what its headers and query say."""

    origin: str | None
    host: str
    forwarded_host: str | None
    ticket: str | None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: as an HTTP status, and as a close code for those whom only a close code reaches (None: too early)."""

    status: int
    detail: str
    code: CloseCode | None = None
    retry_after_s: int | None = None


class Admission:
    """Keeps count of who is in, and says who may join them."""

    def __init__(self, settings: NotifierSettings) -> None:
        self._settings = settings
        self._origins = {origin for value in settings.allowed_origins if (origin := _origin(value))}
        self._inside: Counter[str] = Counter()
        self._allowance = float(settings.handshake_burst)
        self._asked_at: float | None = None

    def __len__(self) -> int:
        return self._inside.total()

    def judge(self, knock: Knock, now: float) -> str | Refusal:
        """The tenant to let in, or why not."""
        if not self._within_rate(now):
            return Refusal(503, "Too many clients are connecting at once. Try again shortly.", retry_after_s=2)
        if len(self) >= self._settings.max_connections:
            return Refusal(503, "No more connections are possible just now. Try again later.", retry_after_s=10)
        if not self._origin_allowed(knock):
            return Refusal(403, "Pages of this origin may not connect here.", CloseCode.WRONG_ORIGIN)
        return self._judge_tenant(self._tenant(knock.ticket))

    def _judge_tenant(self, tenant: str | None) -> str | Refusal:
        if tenant is None:
            return Refusal(
                401, "Get a new ticket from POST /ws/ticket and connect with ?ticket=.", CloseCode.NOT_ALLOWED
            )
        if self._inside[tenant] >= self._settings.tenant_connections:
            detail = "You have too many connections open. Close some, or try again later."
            return Refusal(503, detail, CloseCode.TRY_LATER, retry_after_s=10)
        return tenant

    def entered(self, tenant: str) -> None:
        """Somebody of `tenant` is in."""
        self._inside[tenant] += 1

    def left(self, tenant: str) -> None:
        """Somebody of `tenant` has gone."""
        self._inside[tenant] -= 1
        if not self._inside[tenant]:
            del self._inside[tenant]

    def _within_rate(self, now: float) -> bool:
        elapsed = 0.0 if self._asked_at is None else now - self._asked_at
        self._asked_at = now
        refilled = self._allowance + elapsed * self._settings.handshake_rate
        self._allowance = min(float(self._settings.handshake_burst), refilled)
        if self._allowance < 1:
            return False
        self._allowance -= 1
        return True

    def _tenant(self, ticket: str | None) -> str | None:
        if self._settings.auth == "none":
            return DEFAULT_TENANT
        try:
            return verify(self._settings.ticket_secret.get_secret_value(), ticket or "")
        except InvalidTicketError:
            return None

    def _origin_allowed(self, knock: Knock) -> bool:
        if knock.origin is None:
            return True  # not a browser, or not another site's page: nobody's cookies or network are being used
        origin = _origin(knock.origin)
        if origin is None:
            return False
        if self._origins:
            return origin in self._origins
        scheme, host = origin
        asked = [knock.host]
        if self._settings.forwarded_trusted and knock.forwarded_host:
            asked.append(knock.forwarded_host)
        return any(_origin(f"{scheme}://{name}") == (scheme, host) for name in asked)


def _origin(text: str) -> tuple[str, str] | None:
    """`scheme` and `host:port` of an origin; None for what is none, such as "null"."""
    try:
        parts = urlsplit(text.strip().rstrip("/"))
        port = parts.port or _DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return None
    if parts.scheme not in _DEFAULT_PORTS or not parts.hostname or parts.path or parts.query or parts.username:
        return None
    return parts.scheme, f"{parts.hostname}:{port}"
