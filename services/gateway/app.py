"""The HTTP face: routes, who asks, how often, and what is counted."""

from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web

from services.common import metrics
from services.common.logs import get_logger
from services.common.storage import StorageError
from services.common.web import Check, Problem, add_health, errors_middleware
from services.gateway.context import Call, Gateway
from services.gateway.docs import add_docs
from services.gateway.routes import ROUTES, Handler
from services.gateway.store.engine import StoreRefusedError, StoreUnavailableError
from services.gateway.store.reads import ping

log = get_logger(__name__)

MAX_BODY: Final = 1 << 20
_RETRY_AFTER: Final = {"Retry-After": "5"}

_WebHandler = Callable[[web.Request], Awaitable[web.StreamResponse]]


def _unavailable(what: str) -> Problem:
    return Problem(503, f"{what} cannot be reached just now. Try again in a few seconds.", headers=_RETRY_AFTER)


def _bound(gateway: Gateway, handler: Handler) -> _WebHandler:
    """`handler` as aiohttp calls it: for a tenant that may ask, and with what is out of order told as 503."""

    async def handle(request: web.Request) -> web.Response:
        try:
            tenant = await gateway.authenticator.tenant(request)
            gateway.requests.check(tenant)
            return await handler(Call(gateway, request, tenant))
        except StoreUnavailableError as error:
            log.warning("database_unavailable", error=repr(error))
            raise _unavailable("The database") from error
        except StoreRefusedError as error:
            raise Problem(422, "This request holds data that can't be stored.") from error
        except StorageError as error:
            log.warning("storage_unavailable", error=repr(error))
            raise _unavailable("The object store") from error

    return handle


@web.middleware
async def count_middleware(request: web.Request, handler: _WebHandler) -> web.StreamResponse:
    """Counts answers by method, route and status."""
    response = await handler(request)
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    method = request.method if request.method in _METHODS else "other"
    metrics.REQUESTS_TALLY.inc(method, route, str(response.status))
    return response


_METHODS: Final = frozenset({"GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS", "PATCH"})


def _checks(gateway: Gateway) -> dict[str, Check]:
    async def database() -> str | None:
        try:
            await gateway.store.read(ping)
        except StoreUnavailableError:
            return "cannot be reached"
        return None

    async def storage() -> str | None:
        try:
            await gateway.storage.ping()
        except StorageError:
            return "cannot be reached"
        return None

    # Not the broker: without it jobs are accepted all the same, and go out when it is back.
    return {"database": database, "storage": storage}


def make_app(gateway: Gateway) -> web.Application:
    """The application that serves the API of `gateway`."""
    app = web.Application(middlewares=[count_middleware, errors_middleware], client_max_size=MAX_BODY)
    for route in ROUTES:
        handler = _bound(gateway, route.handler)
        app.router.add_route(route.method, route.path, handler)
        if route.method == "GET":
            app.router.add_route("HEAD", route.path, handler)
    add_health(app, _checks(gateway))
    add_docs(app)
    return app
