"""Runs the hub: hands it events, messages and the time, and moves the bytes it puts out.

The one place where a payload meets a socket.  Nothing here waits for a client: what a transport has not sent yet
stays with the transport up to a bound, and the hub is told of those who are past it.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Final, Protocol

from services.common import metrics
from services.common.logs import get_logger
from services.notifier.connection import Connection
from services.notifier.cursors import Cursor
from services.notifier.events import Event
from services.notifier.frames import Flavour
from services.notifier.hub import Hub
from services.notifier.outputs import Broadcast, Close, Drop, Fetch, Write
from services.notifier.protocol import Subscribe

log = get_logger(__name__)

# Unsent bytes at which a client counts as slow, and those at which it has caught up.
HIGH_WATER: Final = 64 << 10
LOW_WATER: Final = 8 << 10


class Pipe(Protocol):
    """What of an asyncio transport is needed to write to it."""

    def write(self, data: bytes, /) -> None: ...
    def get_write_buffer_size(self) -> int: ...


class Sink(Protocol):
    """A connection's way out."""

    @property
    def pipe(self) -> Pipe:
        """Where its bytes go."""

    @property
    def closed(self) -> bool:
        """True once nothing may be written any more.

        Also when the client has gone and nobody has noticed: uvloop raises for writes to a closed transport, and
        that would end what was to be written to all others.
        """

    def close(self, code: int, reason: str) -> None:
        """Say why, end the connection soon, whether the client answers or not."""

    def drop(self) -> None:
        """End the connection at once."""


class Driver:
    """The hub on an event loop.  Must be made inside a running loop."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._loop = asyncio.get_running_loop()
        self._timer: asyncio.Handle | None = None
        self._timer_at = float("inf")
        self._fetch: Callable[[Fetch], None] | None = None
        self._empty = asyncio.Event()
        self._empty.set()
        self._open = 0

    # --- the stream ---------------------------------------------------------------------------------------

    @property
    def position(self) -> Cursor:
        """How far the stream has been read."""
        return self._hub.fanout.position

    def feed(self, offset: int, body: bytes) -> Event | None:
        """Take the next message of the stream; returns the event it was, if it counted."""
        event = self._hub.feed(offset, body, self._loop.time())
        self._settle()
        return event

    def stream_changed(self) -> None:
        """What comes next does not follow what came before."""
        self._hub.stream_changed()
        self._settle()

    def on_fetch(self, fetch: Callable[[Fetch], None]) -> None:
        """Have `fetch` called for clients whose past is no longer in memory."""
        self._fetch = fetch

    def feed_replay(self, fetch: Fetch, offset: int, body: bytes) -> bool:
        """Take a message of the past for `fetch`; True if that was enough."""
        fetch.replay.feed(offset, body, self._hub.fanout.book)
        return fetch.connection.closed or self._hub.fetched_enough(fetch.replay)

    def fetched(self, fetch: Fetch) -> None:
        """The past was read for `fetch`, as far as could be."""
        self._hub.fetched(fetch)
        self._settle()

    # --- connections --------------------------------------------------------------------------------------

    def connect(self, sink: Sink, tenant: str, flavour: Flavour) -> Connection:
        """A client is there."""
        self._open += 1
        self._empty.clear()
        metrics.CONNECTIONS.add({"transport": _transport(flavour)}, 1)
        connection = self._hub.connect(sink, tenant, flavour, self._loop.time())
        self._settle()
        return connection

    def disconnect(self, connection: Connection) -> None:
        """The client is gone; once for each `connect`."""
        self._open -= 1
        if not self._open:
            self._empty.set()
        metrics.CONNECTIONS.sub({"transport": _transport(connection.flavour)}, 1)
        self._hub.disconnect(connection)
        self._settle()

    def subscribe(self, connection: Connection, ask: Subscribe) -> None:
        """What an event stream was opened for."""
        self._hub.subscribe(connection, ask, self._loop.time())
        self._settle()

    def receive(self, connection: Connection, text: str | None) -> None:
        """A message from the client; None if it was not text."""
        unread = connection.sink.pipe.get_write_buffer_size()
        self._hub.receive(connection, text, self._loop.time(), unread=unread)
        self._settle()

    def pinged(self, connection: Connection, payload: bytes) -> None:
        """A ping from the client."""
        unread = connection.sink.pipe.get_write_buffer_size()
        self._hub.pinged(connection, payload, self._loop.time(), unread=unread)
        self._settle()

    def alive(self, connection: Connection) -> None:
        """A pong from the client."""
        self._hub.alive(connection)

    async def shutdown(self, timeout_s: float) -> None:
        """Say goodbye to everybody, and return when all are gone or `timeout_s` is over."""
        self._hub.shutdown(self._loop.time())
        self._settle()
        try:
            async with asyncio.timeout(timeout_s):
                await self._empty.wait()
        except TimeoutError:
            log.warning("connections_left", count=self._open)

    # --- time ---------------------------------------------------------------------------------------------

    def _settle(self) -> None:
        while outputs := self._hub.take_outputs():
            for output in outputs:
                self._carry_out(output)
        self._schedule()

    def _schedule(self) -> None:
        wake_at = self._hub.wake_at
        if wake_at is None or wake_at >= self._timer_at:
            return
        if self._timer is not None:
            self._timer.cancel()
        # Not at once, even if it is due: what else has arrived in this turn of the loop is to go along.
        self._timer_at = wake_at
        self._timer = self._loop.call_at(wake_at, self._wake)

    def _wake(self) -> None:
        self._timer, self._timer_at = None, float("inf")
        for connection in self._hub.slow:
            if connection.sink.pipe.get_write_buffer_size() <= LOW_WATER:
                self._hub.caught_up(connection)
        self._hub.advance(self._loop.time())
        self._settle()

    # --- outputs ------------------------------------------------------------------------------------------

    def _carry_out(self, output: Broadcast | Write | Close | Drop | Fetch) -> None:
        if isinstance(output, Broadcast):
            self._broadcast(output)
        elif isinstance(output, Write):
            for connection in output.connections:
                if not connection.sink.closed:
                    connection.sink.pipe.write(output.data)
        elif isinstance(output, Close):
            output.connection.sink.close(output.code, output.reason)
        elif isinstance(output, Drop):
            output.connection.sink.drop()
        elif self._fetch is not None:
            self._fetch(output)

    def _broadcast(self, output: Broadcast) -> None:
        data = output.batch.encode(output.flavour)
        behind = []
        for connection in output.connections:  # the hot loop: ten thousand turns, thirty times a second
            sink = connection.sink
            if connection.backlog is not None or sink.pipe.get_write_buffer_size() > HIGH_WATER:
                behind.append(connection)
            elif not sink.closed:
                sink.pipe.write(data)
        now = self._loop.time()
        for connection in behind:
            self._hub.fell_behind(connection, output.batch, now)
        for event in output.batch.events:
            _measure(event)


def _measure(event: Event) -> None:
    """Note how long the event took, once for all who got it."""
    if not event.measured:
        event.measured = True
        metrics.PUSH_SECONDS.observe({}, max(0.0, time.time() - event.time))


def _transport(flavour: Flavour) -> str:
    return "sse" if flavour.is_sse else "websocket"
