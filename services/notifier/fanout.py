"""From an event to the bytes of all who watch: groups, flush windows, and what slow readers are held to.

Each event is encoded once and each batch joined once, however many connections get it; a connection that does not
read is set apart, so that it delays nobody.
"""

from collections.abc import Sequence

from services.notifier.connection import Backlog, Connection
from services.notifier.cursors import ORIGIN, Cursor, fingerprint
from services.notifier.events import Batch, Event, decode
from services.notifier.frames import encode
from services.notifier.groups import Group, Groups
from services.notifier.history import History
from services.notifier.jobs import JobBook
from services.notifier.limits import HubConfig, Stats
from services.notifier.outputs import Broadcast, Close, Output, Write
from services.notifier.protocol import CloseCode


class Fanout:
    """Events in, shared batches out.  `now` is any clock that never runs backwards, in seconds."""

    def __init__(self, config: HubConfig, stats: Stats) -> None:
        self.config = config
        self.stats = stats
        self.position: Cursor = ORIGIN
        self.history = History(max_bytes=config.history_bytes)
        self.book = self._new_book()
        self.groups = Groups()
        self.slow: set[Connection] = set()
        self._dirty: dict[Group, None] = {}
        self._sent: Cursor = ORIGIN
        self._flushed_at = float("-inf")
        self._flush_at: float | None = None
        self._writes = 0  # of the last flush
        self._outputs: list[Output] = []

    # --- the stream ---------------------------------------------------------------------------------------

    def feed(self, offset: int, body: bytes, now: float) -> Event | None:
        """Take the next message of the stream; returns the event it was, if it counted."""
        before, self.position = self.position, Cursor(offset, fingerprint(body))
        fields = decode(body)
        applied = None if fields is None else self.book.apply(fields, offset)
        event = None if applied is None else Event(self.position, applied)
        self.history.append(self.position, event)
        if event is not None:
            if not self._dirty:
                self._sent = before
            self._dispatch(event, now)
        return event

    def forget_stream(self) -> None:
        """Begin anew: what was read so far is of a stream that is gone, or has a gap after it."""
        self.position = ORIGIN
        self.history.clear()
        self.book = self._new_book()

    def _new_book(self) -> JobBook:
        return JobBook(limit=self.config.max_jobs_known, ended_limit=self.config.snapshot_ended)

    def _dispatch(self, event: Event, now: float) -> None:
        urgent, anybody = event.terminal, False
        for group in self.groups.interested(event):
            anybody = True
            group.gather(event)
            self._dirty[group] = None
            urgent = urgent or group.batch_bytes > self.config.batch_bytes
        if anybody:
            self._flush_by(self._soonest(now, urgent=urgent))

    def _soonest(self, now: float, *, urgent: bool) -> float:
        """When to flush for what came just now: a window after the last flush, or at once.

        At once means after a moment in proportion to the writes of the last flush, or a hundred jobs that end
        together would be a hundred flushes of ten thousand writes.
        """
        config = self.config
        if urgent:
            return max(now, self._flushed_at + min(config.window_s, self._writes * config.spacing_s))
        return max(now + config.gather_s, self._flushed_at + config.window_s)

    # --- the end of a window ------------------------------------------------------------------------------

    @property
    def flush_at(self) -> float | None:
        """When the next flush is due; None if nothing waits."""
        return self._flush_at

    @property
    def sent(self) -> Cursor:
        """How far everybody who keeps up has been told everything."""
        return self._sent if self._dirty else self.position

    def flush(self, now: float) -> None:
        """Let out all that was gathered."""
        self._flushed_at, self._flush_at, self._writes = now, None, 0
        for group in list(self._dirty):
            self.flush_group(group)
        if self.slow:
            self._flush_by(now + self.config.window_s)

    def flush_group(self, group: Group) -> None:
        """Let out what was gathered for `group`."""
        self._dirty.pop(group, None)
        events = group.take_batch()
        if not events:
            return
        batch = Batch(events)
        for flavour, members in group.members.items():
            if members:
                self._outputs.append(Broadcast(batch, flavour, tuple(members)))
                self.stats.deliveries += len(events) * len(members)
                self._writes += len(members)
        for connection in list(group.slow):
            self._hold(connection, events)

    def _flush_by(self, when: float) -> None:
        if self._flush_at is None or when < self._flush_at:
            self._flush_at = when

    # --- slow readers -------------------------------------------------------------------------------------

    def fell_behind(self, connection: Connection, batch: Batch, now: float) -> None:
        """`connection` still has too much unread to be written `batch`."""
        self.stats.deliveries -= len(batch.events)
        if connection.closed or connection.group is None:
            return
        if connection.backlog is None:
            group = connection.group
            group.remove(connection)
            connection.backlog = Backlog()
            group.add(connection)
            self.slow.add(connection)
            self._flush_by(now + self.config.window_s)
        self._hold(connection, batch.events)

    def caught_up(self, connection: Connection) -> None:
        """`connection`, one of `slow`, has read what was written to it."""
        group = connection.group
        connection.awaiting_life = False
        if group is not None:
            self.flush_group(group)
        if connection.closed:
            return  # that was too much for it
        self.write_backlog(connection)
        connection.backlog = None
        self.slow.discard(connection)
        if group is not None:
            group.remove(connection)
            group.add(connection)

    def write_backlog(self, connection: Connection) -> None:
        """Write what waits for `connection`, whatever is unread."""
        backlog = connection.backlog
        if backlog is None or not backlog:
            return
        connection.backlog = Backlog()
        self.stats.deliveries += len(backlog)
        self.write(connection, Batch(backlog.events).encode(connection.flavour))

    def _hold(self, connection: Connection, events: Sequence[Event]) -> None:
        backlog = connection.backlog
        assert backlog is not None
        conflated = backlog.conflated
        backlog.extend(events)
        self.stats.conflations += backlog.conflated - conflated
        if backlog.size > self.config.backlog_bytes:
            self.evict(connection, CloseCode.TRY_LATER, "reading too slowly", "slow")

    # --- outputs ------------------------------------------------------------------------------------------

    def take_outputs(self) -> list[Output]:
        """What is to be done, in this order; it is then gone from here."""
        outputs, self._outputs = self._outputs, []
        return outputs

    def put(self, output: Output) -> None:
        """Have `output` done after all before it."""
        self._outputs.append(output)

    def write(self, connection: Connection, data: bytes) -> None:
        """Have `data` written to `connection`."""
        self._outputs.append(Write(data, (connection,)))

    def send(
        self, connection: Connection, payload: bytes, cursor: str | None = None, *, retry_s: float | None = None
    ) -> None:
        """Have a JSON message written to `connection`; event streams also get the cursor and when to come back."""
        retry_ms = None if retry_s is None else round(retry_s * 1000)
        self.write(connection, encode(connection.flavour, payload, cursor, retry_ms=retry_ms))

    def evict(self, connection: Connection, code: CloseCode, reason: str, why: str) -> None:
        """Close `connection` and count it under `why`."""
        self.stats.evictions[why] = self.stats.evictions.get(why, 0) + 1
        self.release(connection)
        self._outputs.append(Close(connection, code, reason))

    def release(self, connection: Connection) -> None:
        """Let go of all that is kept for `connection`."""
        connection.closed = True
        connection.backlog = None
        self.slow.discard(connection)
        self.leave(connection)

    def leave(self, connection: Connection) -> None:
        """Take `connection` out of its group."""
        group = connection.group
        if group is not None:
            group.remove(connection)
            self.groups.release(group)
            if not group:
                self._dirty.pop(group, None)
