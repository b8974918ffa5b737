"""The notifier's HTTP face: `/ws`, `/events`, and what every service has."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Final

from aiohttp import web
from pydantic import ValidationError

from services.common.bus import Bus
from services.common.web import Check, Problem, add_health, errors_middleware, json_response
from services.notifier.admission import Admission, Knock, Refusal
from services.notifier.asyncapi import document
from services.notifier.driver import Driver
from services.notifier.feed import Feed
from services.notifier.protocol import Subscribe
from services.notifier.sessions_sse import serve_events
from services.notifier.sessions_ws import make_response, serve_websocket
from services.notifier.settings import NotifierSettings

_TRUE: Final = frozenset({"1", "true", "yes"})
_WEBSOCKET_PATH: Final = "/ws"
_PATHS: Final = frozenset({_WEBSOCKET_PATH, "/events", "/asyncapi.json", "/healthz", "/readyz", "/metrics"})

_NOT_READY: Final = Refusal(503, "The push service is starting or stopping. Try again in a moment.", retry_after_s=1)

_Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class PushApp:
    """Lets clients in and hands them to their sessions."""

    def __init__(self, settings: NotifierSettings, driver: Driver, feed: Feed) -> None:
        self._settings = settings
        self._admission = Admission(settings)
        self._driver = driver
        self._feed = feed
        self._stopping = False

    def stop(self) -> None:
        """Let nobody in any more."""
        self._stopping = True

    async def websocket(self, request: web.Request) -> web.StreamResponse:
        """GET /ws."""
        verdict = self._judge(request)
        if isinstance(verdict, Refusal) and verdict.code is None:
            return _problem(verdict).response()
        compress = request.query.get("compress", "").lower() in _TRUE
        response = make_response(self._settings.hub.max_message_bytes, compress=compress)
        if not response.can_prepare(request):
            detail = "This address speaks WebSocket; see /asyncapi.json."
            return Problem(426, detail, headers={"Upgrade": "websocket", "Connection": "Upgrade"}).response()
        if isinstance(verdict, Refusal):
            # A browser tells its page nothing of a refused handshake, only how an open socket was closed.
            await response.prepare(request)
            assert verdict.code is not None
            await response.close(code=verdict.code, message=verdict.detail.encode())
            return response
        self._admission.entered(verdict)
        try:
            await response.prepare(request)
            return await serve_websocket(request, response, self._driver, verdict, heartbeat_s=self._settings.heartbeat)
        finally:
            self._admission.left(verdict)

    async def events(self, request: web.Request) -> web.StreamResponse:
        """GET /events."""
        verdict = self._judge(request)
        if isinstance(verdict, Refusal):
            raise _problem(verdict)
        ask = _asked(request)
        self._admission.entered(verdict)
        try:
            return await serve_events(request, self._driver, verdict, ask, heartbeat_s=self._settings.heartbeat)
        finally:
            self._admission.left(verdict)

    def _judge(self, request: web.Request) -> str | Refusal:
        if self._stopping or not self._feed.caught_up.is_set():
            return _NOT_READY  # while the past is not known, a snapshot would not be the truth
        knock = Knock(
            origin=request.headers.get("Origin"),
            host=request.headers.get("Host", ""),
            forwarded_host=request.headers.get("X-Forwarded-Host"),
            ticket=request.query.get("ticket"),
        )
        return self._admission.judge(knock, asyncio.get_running_loop().time())


def _problem(refusal: Refusal) -> Problem:
    headers = {} if refusal.retry_after_s is None else {"Retry-After": str(refusal.retry_after_s)}
    return Problem(refusal.status, refusal.detail, headers=headers)


def _asked(request: web.Request) -> Subscribe:
    """What an event stream's address asks for: all jobs, unless it names some."""
    named = [job_id for value in request.query.getall("job_id", []) for job_id in value.split(",") if job_id]
    single = named[0] if len(named) == 1 else None
    asked = {
        "type": "subscribe",
        "job_id": single or ("*" if not named or "*" in named else None),
        "job_ids": [] if single else [job_id for job_id in named if job_id != "*"],
        "after": request.headers.get("Last-Event-ID") or request.query.get("after") or None,
        "only": request.query.get("only", "all"),
    }
    try:
        return Subscribe.model_validate(asked)
    except ValidationError as error:
        errors = [
            {"field": str(item["loc"][0]) if item["loc"] else "job_id", "message": item["msg"]}
            for item in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise Problem(422, "The query does not say which events are wanted.", errors=errors) from None


def _guarded(handler: _Handler) -> _Handler:
    """`handler` with errors told as problem+json.

    Not a middleware of the application: that would be around the thousands of WebSockets too, and keep its frames
    in memory for each.
    """

    async def guarded(request: web.Request) -> web.StreamResponse:
        return await errors_middleware(request, handler)

    return guarded


async def _nothing_here(request: web.Request) -> web.StreamResponse:
    if request.path in _PATHS and request.method not in {"GET", "HEAD"}:
        raise web.HTTPMethodNotAllowed(request.method, ["GET"])
    raise web.HTTPNotFound


def _checks(bus: Bus, feed: Feed) -> dict[str, Check]:
    async def broker() -> str | None:
        return None if bus.connected else "cannot be reached"

    async def stream() -> str | None:
        return None if feed.caught_up.is_set() else "still reading what happened before"

    return {"broker": broker, "stream": stream}


def make_app(push: PushApp, bus: Bus, feed: Feed, settings: NotifierSettings) -> web.Application:
    """The application that serves the push channel."""
    described = document(settings)

    async def asyncapi(_: web.Request) -> web.Response:
        return json_response(described)

    app = web.Application()
    app.router.add_get(_WEBSOCKET_PATH, push.websocket)
    app.router.add_get("/events", _guarded(push.events), allow_head=False)
    app.router.add_get("/asyncapi.json", asyncapi)
    add_health(app, _checks(bus, feed))
    app.router.add_route("*", "/{path:.*}", _guarded(_nothing_here))
    return app
