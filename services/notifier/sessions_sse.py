"""Server-Sent Events: bytes out, no decisions.

The status of the answer can wait for the hub's first word, for it may be that there is no such job.
"""

import asyncio
from typing import Final

from aiohttp import web

from services.common.web import Problem
from services.notifier.driver import Driver, Pipe
from services.notifier.frames import Flavour
from services.notifier.protocol import CloseCode, Subscribe
from services.notifier.tcp import tune

_END_TIMEOUT_S: Final = 2.0
_WATCH_S: Final = 1.0
_HEADERS: Final = {
    "Content-Type": "text/event-stream; charset=utf-8",
    "Cache-Control": "no-store",
    "X-Accel-Buffering": "no",
}
_PROBLEMS: Final = {
    CloseCode.NOT_FOUND: (404, "There is no such job."),
    CloseCode.STREAM_CHANGED: (503, "The push service is starting. Try again in a moment."),
    CloseCode.GOING_AWAY: (503, "The push service is stopping. Try again in a moment."),
    CloseCode.TRY_LATER: (503, "The push service is busy. Try again in a moment."),
}


class _Early:
    """Takes what is written before the headers are."""

    def __init__(self, stirred: asyncio.Event) -> None:
        self.data = b""
        self._stirred = stirred

    def write(self, data: bytes, /) -> None:
        self.data += data
        self._stirred.set()

    def get_write_buffer_size(self) -> int:
        return len(self.data)


class EventStreamSink:
    """An event stream's way out."""

    __slots__ = ("_early", "_transport", "code", "pipe", "stirred")

    def __init__(self, transport: asyncio.Transport) -> None:
        self._transport = transport
        self.stirred = asyncio.Event()  # something was written before the headers, or the stream is to end
        self._early = _Early(self.stirred)
        self.pipe: Pipe = self._early
        self.code: int | None = None  # set when the stream is to end

    @property
    def closed(self) -> bool:
        """True once the stream is to end, or its client is gone."""
        return self.code is not None or self._transport.is_closing()

    @property
    def waiting(self) -> bool:
        """True if something was written already."""
        return bool(self._early.data)

    def open(self) -> None:
        """The headers are out."""
        self.pipe = self._transport
        if not self._transport.is_closing():
            self.pipe.write(self._early.data)
        if self.code is None:
            self.stirred.clear()

    def close(self, code: int, reason: str) -> None:  # noqa: ARG002 -- an event stream has no place for a reason
        """End the stream."""
        self.code = code
        self.stirred.set()

    def drop(self) -> None:
        """Cut the connection."""
        self._transport.abort()
        self.close(CloseCode.GOING_AWAY, "")


async def serve_events(
    request: web.Request, driver: Driver, tenant: str, ask: Subscribe, *, heartbeat_s: float
) -> web.StreamResponse:
    """Serve one client until it is gone.

    Raises:
        Problem: 404 if there is no such job; 503 if the service ends before the stream began.
    """
    transport = request.transport
    assert transport is not None
    tune(transport, give_up_after_s=2 * heartbeat_s)
    response = web.StreamResponse(headers=_HEADERS)
    response.force_close()
    sink = EventStreamSink(transport)
    flavour = Flavour.SSE_CHUNKED if request.version >= (1, 1) else Flavour.SSE
    connection = driver.connect(sink, tenant, flavour)
    try:
        driver.subscribe(connection, ask)
        await _stirred(sink, transport)
        if not sink.waiting:
            status, detail = _PROBLEMS.get(CloseCode(sink.code or CloseCode.TRY_LATER), (503, "Try again."))
            raise Problem(status, detail, headers={"Retry-After": "1"} if status == 503 else None)  # noqa: PLR2004
        await response.prepare(request)
        sink.open()
        await _stirred(sink, transport)
    finally:
        driver.disconnect(connection)
    await _end(response, transport)
    return response


async def _stirred(sink: EventStreamSink, transport: asyncio.Transport) -> None:
    """Wait for the sink, or for the client to be gone."""
    while not (sink.stirred.is_set() or transport.is_closing()):
        try:
            async with asyncio.timeout(_WATCH_S):
                await sink.stirred.wait()
        except TimeoutError:
            continue  # the transport tells nobody when its client goes, so it is looked at


async def _end(response: web.StreamResponse, transport: asyncio.Transport) -> None:
    try:
        async with asyncio.timeout(_END_TIMEOUT_S):
            await response.write_eof()
    except (TimeoutError, ConnectionError):
        transport.abort()
