"""The hub: events, client messages and the time in; writes and closes out.

It holds every rule of the push channel and does no I/O, so each rule is a plain test.  Call a method, then carry
out what `take_outputs` returns; call `advance` when `wake_at` has come.
"""

from collections.abc import Sequence
from typing import Any, Final

from pydantic import ValidationError

from services.notifier import protocol
from services.notifier.connection import Connection
from services.notifier.events import Batch, Event
from services.notifier.fanout import Fanout
from services.notifier.frames import Flavour, beat, ws_pong
from services.notifier.heartbeats import Wheel
from services.notifier.limits import HubConfig, Stats
from services.notifier.outputs import Close, Drop, Fetch, Output, Write
from services.notifier.protocol import CLIENT_MESSAGES, CloseCode, ErrorCode, Subscribe, Unsubscribe
from services.notifier.recovery import StreamReplay
from services.notifier.subscriptions import Subscriptions

_BAD_MESSAGE: Final = "That message could not be understood ({}). The next one like it closes the connection."
_RATE_LIMITED: Final = "Too many messages. Slow down, or the connection is closed."


class Hub:
    """See the module.  `now` is any clock that never runs backwards, in seconds."""

    def __init__(self, config: HubConfig) -> None:
        self.config = config
        self.stats = Stats()
        self.fanout = Fanout(config, self.stats)
        self._subscriptions = Subscriptions(self.fanout)
        self._wheel = Wheel(config.heartbeat_s)

    def __len__(self) -> int:
        return len(self._wheel)

    # --- the stream ---------------------------------------------------------------------------------------

    def feed(self, offset: int, body: bytes, now: float) -> Event | None:
        """Take the next message of the stream; returns the event it was, if it counted."""
        event = self.fanout.feed(offset, body, now)
        self._subscriptions.advanced(event, now)
        return event

    def stream_changed(self) -> None:
        """What comes next does not follow what came before: everybody is to come back for a new snapshot."""
        for connection in list(self._wheel):
            self._evict(connection, CloseCode.STREAM_CHANGED, "event stream begins anew", "stream_changed")
        self.fanout.forget_stream()

    def fetched_enough(self, replay: StreamReplay) -> bool:
        """True if nothing more of the stream is needed for `replay`."""
        return self._subscriptions.fetched_enough(replay)

    def fetched(self, fetch: Fetch) -> None:
        """The stream has been read for `fetch`, as far as could be."""
        self._subscriptions.fetched(fetch)

    # --- connections --------------------------------------------------------------------------------------

    def connect(self, sink: Any, tenant: str, flavour: Flavour, now: float) -> Connection:
        """A client is there; `sink` is how the caller knows it again."""
        connection = Connection(sink, tenant, flavour, self.config.messages_burst)
        connection.asked_at = now
        self._wheel.add(connection, now)
        if not flavour.is_sse:
            hello = protocol.Hello(
                heartbeat_s=self.config.heartbeat_s,
                max_message_bytes=self.config.max_message_bytes,
                max_jobs=protocol.MAX_JOB_IDS,
            )
            self.fanout.send(connection, protocol.encode(hello))
        return connection

    def disconnect(self, connection: Connection) -> None:
        """The client is gone, or was told to go."""
        self._wheel.remove(connection)
        self._subscriptions.forget(connection)
        self.fanout.release(connection)

    def subscribe(self, connection: Connection, ask: Subscribe, now: float) -> None:
        """What an event stream was opened for."""
        self._subscriptions.subscribe(connection, ask, now)

    def alive(self, connection: Connection) -> None:
        """Something was heard from the client."""
        connection.awaiting_life = False

    def receive(self, connection: Connection, text: str | bytes | None, now: float, *, unread: int) -> None:
        """A message from the client.

        Args:
            connection: whose it is.
            text: the frame's payload; None for one that is not text.
            now: the time.
            unread: bytes written to this client that it has not read.
        """
        if connection.closed:
            return
        connection.awaiting_life = False
        if unread > self.config.unread_bytes:
            self._evict(connection, CloseCode.TRY_LATER, "reading too slowly", "slow")
        elif not self._allowed(connection, now):
            self._strike(connection, ErrorCode.RATE_LIMITED, _RATE_LIMITED, now)
        elif text is None:
            self._strike(connection, ErrorCode.BAD_MESSAGE, _BAD_MESSAGE.format("not text"), now)
        else:
            self._understand(connection, text, now)

    def pinged(self, connection: Connection, payload: bytes, now: float, *, unread: int) -> None:
        """A ping of the WebSocket protocol itself from the client; limited as its messages are."""
        if connection.closed:
            return
        connection.awaiting_life = False
        if unread > self.config.unread_bytes:
            self._evict(connection, CloseCode.TRY_LATER, "reading too slowly", "slow")
        elif self._allowed(connection, now):
            self.fanout.write(connection, ws_pong(payload))
        else:
            self._strike(connection, ErrorCode.RATE_LIMITED, _RATE_LIMITED, now)

    def fell_behind(self, connection: Connection, batch: Batch, now: float) -> None:
        """A broadcast was not written to `connection`, because too much is unread."""
        self.fanout.fell_behind(connection, batch, now)

    @property
    def slow(self) -> Sequence[Connection]:
        """The connections to look after: call `caught_up` for each that has little left unread."""
        return tuple(self.fanout.slow)

    def caught_up(self, connection: Connection) -> None:
        """`connection`, one of `slow`, has read what was written to it."""
        self.fanout.caught_up(connection)

    # --- time ---------------------------------------------------------------------------------------------

    @property
    def wake_at(self) -> float | None:
        """When `advance` is to be called; None if nothing will be due unless something happens."""
        times = (self.fanout.flush_at, self._wheel.next_at, self._subscriptions.next_at)
        return min((time for time in times if time is not None), default=None)

    def advance(self, now: float) -> None:
        """Do all that is due by `now`."""
        flush_at = self.fanout.flush_at
        if flush_at is not None and flush_at <= now:
            self.fanout.flush(now)
        self._beat(self._wheel.due(now))
        self._subscriptions.expire(now)

    def shutdown(self, now: float, reason: str = "server is shutting down") -> None:
        """Say goodbye to everybody, and to each when to come back."""
        self.fanout.flush(now)
        connections = list(self._wheel)
        for number, connection in enumerate(connections):
            share = number / max(1, len(connections))
            retry_s = round(self.config.retry_s + share * self.config.retry_spread_s, 2)
            goodbye = protocol.Goodbye(reason=reason, retry_after_s=retry_s)
            self.fanout.send(connection, protocol.encode(goodbye), retry_s=retry_s)
            self.fanout.release(connection)
            self.fanout.put(Close(connection, CloseCode.GOING_AWAY, f"{reason}; retry={retry_s}"))

    def take_outputs(self) -> list[Output]:
        """What is to be done, in this order; it is then gone from here."""
        outputs = self.fanout.take_outputs()
        for output in outputs:
            if isinstance(output, Close | Drop):
                self._wheel.remove(output.connection)
                self._subscriptions.forget(output.connection)
        return outputs

    # --- inside -------------------------------------------------------------------------------------------

    def _understand(self, connection: Connection, text: str | bytes, now: float) -> None:
        try:
            message = CLIENT_MESSAGES.validate_json(text)
        except ValidationError as error:
            first = error.errors(include_url=False, include_input=False, include_context=False)[0]
            where = ".".join(str(part) for part in first["loc"][1:]) or "type"
            self._strike(connection, ErrorCode.BAD_MESSAGE, _BAD_MESSAGE.format(f"{where}: {first['msg']}"), now)
            return
        if isinstance(message, Subscribe):
            self._subscriptions.subscribe(connection, message, now)
        elif isinstance(message, Unsubscribe):
            self._subscriptions.unsubscribe(connection, message)
        else:
            up_to_date = connection.backlog is None and not connection.waits
            pong = protocol.Pong(cursor=str(self.fanout.sent) if up_to_date else None)
            self.fanout.send(connection, protocol.encode(pong))

    def _allowed(self, connection: Connection, now: float) -> bool:
        burst = self.config.messages_burst
        refilled = connection.allowance + (now - connection.asked_at) * self.config.messages_per_s
        connection.asked_at = now
        connection.allowance = min(burst, refilled)
        if connection.allowance < 1:
            return False
        connection.allowance -= 1
        return True

    def _strike(self, connection: Connection, code: ErrorCode, message: str, now: float) -> None:
        warned_at, connection.warned_at = connection.warned_at, now
        if warned_at is not None and now - warned_at < self.config.warning_stands_s:
            self._evict(connection, CloseCode.BAD_MESSAGE, code.value, code.value)
            return
        self.fanout.send(connection, protocol.encode(protocol.Error(code=code, message=message)))

    def _beat(self, turn: Sequence[Connection]) -> None:
        pinged: dict[tuple[Flavour, bool], list[Connection]] = {}
        for connection in turn:
            slow = connection.backlog is not None
            if connection.awaiting_life:
                self._give_up(connection)
                continue
            # An event stream can't answer; it has to do with reading on.
            connection.awaiting_life = slow or not connection.flavour.is_sse
            current = not slow and not connection.waits
            pinged.setdefault((connection.flavour, current), []).append(connection)
        for (flavour, current), connections in pinged.items():
            data = beat(flavour, str(self.fanout.sent) if current else None)
            self.fanout.put(Write(data, connections))

    def _give_up(self, connection: Connection) -> None:
        """Nothing was heard since the last beat."""
        self.stats.evictions["dead"] = self.stats.evictions.get("dead", 0) + 1
        self.fanout.release(connection)
        self.fanout.put(Drop(connection))

    def _evict(self, connection: Connection, code: CloseCode, reason: str, why: str) -> None:
        if not connection.closed:
            self.fanout.evict(connection, code, reason, why)
