"""What handlers work with."""

from dataclasses import dataclass, field

from aiohttp import web

from services.common.bus import Bus
from services.common.rpc import Caller
from services.common.storage import Storage
from services.gateway.auth import Authenticator
from services.gateway.limits import CountLimit, RateLimit
from services.gateway.objects import Objects
from services.gateway.settings import GatewaySettings
from services.gateway.store.store import Store
from services.gateway.waiters import Waiters


@dataclass(frozen=True, slots=True)
class Gateway:
    """The parts of a running gateway.  `in_flight` are the idempotency keys that are being worked on."""

    settings: GatewaySettings
    store: Store
    storage: Storage
    objects: Objects
    bus: Bus
    transcoders: Caller
    authenticator: Authenticator
    waiters: Waiters
    requests: RateLimit
    open_uploads: CountLimit
    queued_jobs: CountLimit
    in_flight: set[tuple[str, str]] = field(default_factory=set)


@dataclass(frozen=True, slots=True)
class Call:
    """One request, and for whom it is."""

    gateway: Gateway
    request: web.Request
    tenant: str
