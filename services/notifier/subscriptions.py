"""Subscribing: what a client is told of the past, and from which moment on it gets the present."""

from dataclasses import dataclass
from heapq import heappop, heappush
from itertools import count
from typing import Final

from services.notifier import protocol
from services.notifier.connection import Connection
from services.notifier.cursors import Cursor, parse
from services.notifier.events import Batch, Event
from services.notifier.fanout import Fanout
from services.notifier.groups import Interests
from services.notifier.outputs import Fetch
from services.notifier.protocol import ALL_JOBS, CloseCode, ErrorCode, Subscribe, Unsubscribe
from services.notifier.recovery import Past, StreamReplay, from_memory, locate, shorten

_NOT_FOUND: Final = "There is no such job of yours. If it appears, its events will follow."
_TOO_MANY: Final = 'That is more jobs than one connection may name. Subscribe to "*" instead.'


@dataclass(slots=True)
class _Parked:
    """A subscription whose cursor is ahead of this notifier, which will be there in a moment."""

    connection: Connection
    ask: Subscribe
    offset: int
    deadline: float


class Subscriptions:
    """Adds to and takes from what connections are told."""

    def __init__(self, fanout: Fanout) -> None:
        self._fanout = fanout
        self._config = fanout.config
        self._parked: list[_Parked] = []
        # Asked for by name, and not known (yet).
        self._unknown: dict[tuple[str, str], set[Connection]] = {}
        self._unknown_until: list[tuple[float, int, tuple[str, str], Connection]] = []
        self._held_back: dict[Connection, Subscribe] = {}
        self._numbers = count()

    # --- what clients ask ---------------------------------------------------------------------------------

    def subscribe(self, connection: Connection, ask: Subscribe, now: float) -> None:
        """Begin, or change, what `connection` is told."""
        current = connection.group.interests if connection.group else {}
        named = (current.keys() | set(ask.targets)) - {ALL_JOBS}
        if len(named) > protocol.MAX_JOB_IDS:
            self._error(connection, ErrorCode.TOO_MANY_JOBS, _TOO_MANY)
            return
        unknown = self._note_unknown(connection, ask, now)
        if unknown and connection.flavour.is_sse:
            # An HTTP status can be given only once: is this a 404, or a job that is just being made?
            self._held_back[connection] = ask
            return
        self._resume(connection, ask, now, may_wait=True)

    def unsubscribe(self, connection: Connection, ask: Unsubscribe) -> None:
        """End a part of what `connection` is told."""
        group = connection.group
        if group is not None:
            rest = {target: only for target, only in group.interests.items() if target not in ask.targets}
            self._settle(connection)
            if connection.closed:
                return
            self._move(connection, rest)
        answer = protocol.Unsubscribed(job_id=ask.job_id, job_ids=ask.job_ids)
        self._fanout.send(connection, protocol.encode(answer))

    def fetched_enough(self, replay: StreamReplay) -> bool:
        """True if memory has all that follows what `replay` has read, or the replay has failed."""
        first = self._fanout.history.first
        return replay.failed or (first is not None and replay.reached >= first - 1)

    def fetched(self, fetch: Fetch) -> None:
        """The stream has been read for `fetch`, or can't be."""
        connection, ask, replay = fetch.connection, fetch.ask, fetch.replay
        if connection.closed:
            return
        connection.waits -= 1
        if replay.failed or not self.fetched_enough(replay):
            self._begin(connection, ask, None)
        else:
            self._begin(connection, ask, replay.after, replay.events, replay.reached)

    # --- time and the stream ------------------------------------------------------------------------------

    @property
    def next_at(self) -> float | None:
        """When `expire` has something to do."""
        times = [parked.deadline for parked in self._parked]
        times += [until for until, *_ in self._unknown_until[:1]]
        return min(times, default=None)

    def advanced(self, event: Event | None, now: float) -> None:
        """The stream has been read further, and `event` was there."""
        if event is not None and self._unknown:
            self._appeared(event, now)
        if self._parked:
            self._unpark(now)

    def expire(self, now: float) -> None:
        """Give up on what has not come by `now`."""
        self._unpark(now)
        while self._unknown_until and self._unknown_until[0][0] <= now:
            _, _, key, connection = heappop(self._unknown_until)
            waiting = self._unknown.get(key, set())
            if connection in waiting:
                waiting.discard(connection)
                self._not_found(connection, key[1])
            if not waiting:
                self._unknown.pop(key, None)

    def forget(self, connection: Connection) -> None:
        """`connection` is gone."""
        self._held_back.pop(connection, None)
        self._parked = [parked for parked in self._parked if parked.connection is not connection]

    # --- the past -----------------------------------------------------------------------------------------

    def _resume(self, connection: Connection, ask: Subscribe, now: float, *, may_wait: bool) -> None:
        after = None if ask.after is None else parse(ask.after)
        past = locate(self._fanout.history, self._fanout.position, after)
        if past is Past.IN_MEMORY:
            assert after is not None
            self._begin(connection, ask, after, [], after.offset)
        elif past is Past.AHEAD and may_wait:
            assert after is not None
            connection.waits += 1
            deadline = now + self._config.ahead_wait_s
            self._parked.append(_Parked(connection, ask, after.offset, deadline))
        elif past is Past.IN_STREAM and not connection.waits:
            assert after is not None
            connection.waits += 1
            limit = self._config.replay_bytes
            replay = StreamReplay(after, connection.tenant, _interests(ask), max_bytes=limit)
            self._fanout.put(Fetch(connection, ask, replay))
        else:
            self._begin(connection, ask, None)

    def _begin(
        self,
        connection: Connection,
        ask: Subscribe,
        after: Cursor | None,
        older: list[Event] | None = None,
        reached: int = 0,
    ) -> None:
        """Let the subscription stand.

        Args:
            connection: whose it is.
            ask: what it is.
            after: where the client was; None if it has to begin with a snapshot.
            older: the first events that it missed, up to offset `reached`; memory has the others.
            reached: see `older`.
        """
        self._settle(connection)
        if connection.closed:
            return
        fanout, added = self._fanout, _interests(ask)
        current = dict(connection.group.interests) if connection.group else {}
        self._move(connection, {**current, **added})
        if after is None:
            told = self._snapshot(connection.tenant, ask)
            fanout.send(connection, told, str(fanout.position), retry_s=self._config.retry_s)
            return
        told = protocol.subscribed(ask, [], str(after), recovered=True)
        fanout.send(connection, told, str(after), retry_s=self._config.retry_s)
        newer = from_memory(fanout.history, connection.tenant, added, reached)
        missed = shorten([*(older or ()), *newer], above=self._config.conflate_replay_above)
        if missed:
            fanout.stats.deliveries += len(missed)
            fanout.write(connection, Batch(missed).encode(connection.flavour))

    def _snapshot(self, tenant: str, ask: Subscribe) -> bytes:
        book, everything = self._fanout.book, ALL_JOBS in ask.targets
        snapshot = book.snapshot_all(tenant) if everything else book.snapshot(tenant, ask.targets)
        cursor = str(self._fanout.position)
        return protocol.subscribed(ask, snapshot.jobs, cursor, recovered=False, truncated=snapshot.truncated)

    def _settle(self, connection: Connection) -> None:
        """Write all that came before this moment, so that what is written next is in the stream's order."""
        if connection.group is not None:
            self._fanout.flush_group(connection.group)
        if not connection.closed:
            self._fanout.write_backlog(connection)

    def _move(self, connection: Connection, interests: Interests) -> None:
        self._fanout.leave(connection)
        if interests:
            group = self._fanout.groups.place(connection.tenant, interests)
            self._fanout.flush_group(group)  # what was gathered there is before this connection's time
            group.add(connection)

    # --- jobs that are not known --------------------------------------------------------------------------

    def _note_unknown(self, connection: Connection, ask: Subscribe, now: float) -> bool:
        """Remember the jobs of `ask` that nobody has heard of; True if that is all of them."""
        book, tenant = self._fanout.book, connection.tenant
        unknown = [t for t in ask.targets if t != ALL_JOBS and book.get(tenant, t) is None]
        for job_id in unknown:
            key = (tenant, job_id)
            self._unknown.setdefault(key, set()).add(connection)
            until = now + self._config.not_found_after_s
            heappush(self._unknown_until, (until, next(self._numbers), key, connection))
        return len(unknown) == len(ask.targets)

    def _appeared(self, event: Event, now: float) -> None:
        for connection in self._unknown.pop((event.tenant, event.job_id), ()):
            ask = self._held_back.pop(connection, None)
            if ask is not None:
                self._resume(connection, ask, now, may_wait=True)

    def _not_found(self, connection: Connection, job_id: str) -> None:
        if connection.closed:
            return
        if self._held_back.pop(connection, None) is not None:
            self._fanout.evict(connection, CloseCode.NOT_FOUND, "no such job", "not_found")
        elif not connection.flavour.is_sse:
            self._error(connection, ErrorCode.NOT_FOUND, _NOT_FOUND, job_id)

    def _unpark(self, now: float) -> None:
        position, waiting = self._fanout.position, []
        for parked in self._parked:
            arrived = parked.offset <= position.offset
            if not arrived and parked.deadline > now:
                waiting.append(parked)
                continue
            parked.connection.waits -= 1
            self._resume(parked.connection, parked.ask, now, may_wait=False)
        self._parked = waiting

    def _error(self, connection: Connection, code: ErrorCode, message: str, job_id: str | None = None) -> None:
        error = protocol.Error(code=code, message=message, job_id=job_id)
        self._fanout.send(connection, protocol.encode(error))


def _interests(ask: Subscribe) -> Interests:
    return dict.fromkeys(ask.targets, ask.only == "terminal")
