"""What the HTTP faces of all services share: problem+json, request ids, health, readiness and metrics."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping, Sequence
from http import HTTPStatus
from itertools import count
from typing import Any, Final
from uuid import uuid4

import anyio
import orjson
from aiohttp import web
from aiohttp.web_protocol import RequestHandler

from services.common import metrics, telemetry, tracing
from services.common.logs import get_logger

log = get_logger(__name__)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]
Check = Callable[[], Awaitable[str | None]]

REQUEST_ID_HEADER: Final = "X-Request-ID"
_SAFE: Final = frozenset({"GET", "HEAD", "OPTIONS"})
_CHECK_TIMEOUT_S: Final = 2.0
# Ids of requests that come without one: unique among processes by the first part, within one by the second.
_RUN: Final = uuid4().hex[:16]
_request_numbers = count(1)


class Problem(Exception):  # noqa: N818 -- the name of the thing in RFC 9457
    """An answer that is an error, as application/problem+json.

    Args:
        status: the HTTP status.
        detail: a sentence that says what to do.
        errors: for validation, one `{field, message}` each.
        headers: more headers, such as Retry-After.
        type_: a URI reference that names the kind of problem.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        headers: Mapping[str, str] | None = None,
        type_: str = "about:blank",
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = errors
        self.headers = dict(headers or {})
        self.type = type_

    def response(self) -> web.Response:
        """The problem as a response."""
        body: dict[str, Any] = {
            "type": self.type,
            "title": _title(self.status),
            "status": self.status,
            "detail": self.detail,
        }
        if self.errors:
            body["errors"] = list(self.errors)
        return web.Response(
            status=self.status,
            reason=body["title"],
            body=orjson.dumps(body),
            content_type="application/problem+json",
            headers=self.headers,
        )


# RFC 9110's names of these, which Python has from 3.13 on.
_TITLES: Final = {
    413: "Content Too Large",
    414: "URI Too Long",
    416: "Range Not Satisfiable",
    422: "Unprocessable Content",
}


def _title(status: int) -> str:
    return _TITLES.get(status) or HTTPStatus(status).phrase


def json_response(body: Any, *, status: int = 200, headers: Mapping[str, str] | None = None) -> web.Response:
    """`body` as JSON, by orjson."""
    return web.Response(status=status, body=orjson.dumps(body), content_type="application/json", headers=headers)


_DETAILS: Final = {
    404: "There is nothing at this address.",
    405: "This address does not take that method; see the Allow header.",
    413: "The request body is too large.",
}


@web.middleware
async def errors_middleware(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Makes every error problem+json, ours and aiohttp's own, and gives every request an id and a trace."""
    headers = request.headers
    request_id = tracing.parse_request_id(headers.get(REQUEST_ID_HEADER)) or f"{_RUN}{next(_request_numbers):08x}"
    traceparent = headers.get(tracing.TRACEPARENT)
    tracestate = ",".join(headers.getall(tracing.TRACESTATE, ())) if traceparent else ""
    # Not unbound afterwards: the context is the connection's own, and its next request binds anew.
    tracing.bind(tracing.Context(request_id, traceparent, tracestate))
    if telemetry.recorder() is None or request.method in _SAFE:
        response = await _answer(request, handler)
    else:
        response = await _record(request, handler)
    if not response.prepared:
        response.headers[REQUEST_ID_HEADER] = request_id
    return response


async def _record(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The answer to a request that may change something, and a span for it."""
    resource = request.match_info.route.resource
    route = resource.canonical if resource is not None else "none"
    with telemetry.span(f"{request.method} {route}", "server", **{"http.route": route}):
        response = await _answer(request, handler)
        if response.status >= 500:  # noqa: PLR2004 -- a client's mistakes are not failures of ours
            telemetry.fail(str(response.status))
    return response


async def _answer(request: web.Request, handler: Handler) -> web.StreamResponse:
    response: web.StreamResponse
    try:
        response = await handler(request)
    except Problem as problem:
        response = problem.response()
    except web.HTTPException as error:
        if error.status < 400:  # noqa: PLR2004 -- redirects and the like are answers, not problems
            raise
        allow = {"Allow": error.headers["Allow"]} if "Allow" in error.headers else {}
        detail = _DETAILS.get(error.status, error.reason)
        response = Problem(error.status, detail, headers=allow).response()
    except (asyncio.CancelledError, ConnectionResetError):
        raise
    except Exception:
        log.exception("request_failed", method=request.method, path=request.path)
        response = Problem(500, "Something went wrong on our side. Try again later.").response()
    return response


async def _run_check(name: str, check: Check) -> tuple[str, str | None]:
    try:
        async with asyncio.timeout(_CHECK_TIMEOUT_S):
            return name, await check()
    except TimeoutError:
        return name, "no answer in time"


def add_health(app: web.Application, checks: Mapping[str, Check]) -> None:
    """Add `/healthz` (the process is alive), `/readyz` (all `checks` say None) and `/metrics` to `app`."""

    async def healthz(_: web.Request) -> web.Response:
        return json_response({"status": "ok"})

    async def readyz(_: web.Request) -> web.Response:
        results = dict(await asyncio.gather(*(_run_check(name, check) for name, check in checks.items())))
        ready = not any(results.values())
        body = {
            "status": "ready" if ready else "not ready",
            "checks": {name: fault or "ok" for name, fault in results.items()},
        }
        return json_response(body, status=200 if ready else 503)

    async def exposition(request: web.Request) -> web.Response:
        body, headers = metrics.exposition(request.headers.get("Accept", ""))
        return web.Response(body=body, headers=headers)

    app.router.add_get("/healthz", healthz)
    app.router.add_get("/readyz", readyz)
    app.router.add_get("/metrics", exposition)


class _Protocol(RequestHandler):
    """aiohttp's, but for its own answers, which are plain text: to what is no HTTP, or too long."""

    __slots__ = ()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,  # noqa: ARG002 -- quotes the request, which may hold secrets
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer has begun already")
        if status >= 500:  # noqa: PLR2004 -- HTTP's own number
            log.error("request_failed", exc_info=exc)
            detail = "Something went wrong on our side. Try again later."
        else:
            log.info("request_malformed", error=type(exc).__name__)
            detail = "This request is malformed: its first line, or one of its headers."
        response = Problem(status, detail).response()
        response.force_close()
        return response


class _Server(web.Server):
    def __call__(self) -> RequestHandler:
        return _Protocol(self, loop=self._loop, **self._kwargs)


class _Runner(web.AppRunner):
    async def _make_server(self) -> web.Server:
        server = await super()._make_server()
        server.__class__ = _Server  # there is no way to have aiohttp make one of ours
        return server


async def serve(app: web.Application, host: str, port: int, *, shutdown_timeout_s: float) -> None:
    """Serve `app` until cancelled; then close the listener and let running requests finish in time."""
    runner = _Runner(app, access_log=None, handle_signals=False, shutdown_timeout=shutdown_timeout_s)
    await runner.setup()
    try:
        site = web.TCPSite(runner, host, port, backlog=4096, reuse_port=False)
        await site.start()
        log.info("listening", host=host, port=port)
        await asyncio.Event().wait()
    finally:
        with anyio.CancelScope(shield=True):
            await runner.cleanup()
