"""What a client missed while it was away: from memory if it was a moment, from the stream itself if longer."""

from enum import Enum
from heapq import merge
from typing import Final

from services.common.projection import Verdict, judge
from services.notifier.connection import Backlog
from services.notifier.cursors import ORIGIN, Cursor, fingerprint
from services.notifier.events import Event, decode
from services.notifier.groups import Interests, wants
from services.notifier.history import History
from services.notifier.jobs import JobBook, Record
from services.notifier.protocol import ALL_JOBS


class Past(Enum):
    """Where the messages after a cursor are to be had."""

    IN_MEMORY = "in_memory"
    IN_STREAM = "in_stream"
    AHEAD = "ahead"  # the cursor is from a notifier that has read further than this one
    LOST = "lost"  # the cursor is of another stream, or nonsense


def locate(history: History, position: Cursor, after: Cursor | None) -> Past:
    """Where to find what came after the cursor `after`, given how far the stream has been read."""
    if after is None:
        return Past.LOST
    if after.offset > position.offset:
        return Past.AHEAD
    first = history.first
    if after == position or history.holds(after) or (after == ORIGIN and first == 0):
        return Past.IN_MEMORY
    if after.offset == position.offset or first is None or after.offset >= first:
        return Past.LOST
    return Past.IN_STREAM


def from_memory(history: History, tenant: str, interests: Interests, after: int) -> list[Event]:
    """The events past offset `after` that somebody with these `interests` has missed, in order."""
    if ALL_JOBS in interests:
        events = history.of_tenant(tenant, after)
    else:
        of_jobs = [history.of_job(tenant, job_id, after) for job_id in interests]
        events = of_jobs[0] if len(of_jobs) == 1 else list(merge(*of_jobs, key=lambda event: event.offset))
    return [event for event in events if wants(interests, event)]


def shorten(events: list[Event], *, above: int) -> list[Event]:
    """`events`, with progress conflated to the newest of each job if they are more than `above` bytes."""
    if sum(len(event.frame) for event in events) <= above:
        return events
    backlog = Backlog()
    backlog.extend(events)
    return backlog.events


class StreamReplay:
    """Reads the stream again from a cursor up to where memory begins, for one client.

    Feed it every message from the cursor's own on.  What the hub did not pass on then is not passed on now.
    """

    def __init__(self, after: Cursor, tenant: str, interests: Interests, *, max_bytes: int) -> None:
        self.after: Final = after
        self.reached = after.offset if after == ORIGIN else after.offset - 1
        self.failed = False
        self._tenant = tenant
        self._interests = interests
        self._max_bytes = max_bytes
        self._events: list[Event] = []
        self._size = 0
        self._jobs: dict[str, Record] = {}

    def feed(self, offset: int, body: bytes, book: JobBook) -> None:
        """Take the next message of the stream.  Sets `failed` if what was missed can't be told in full."""
        if offset <= self.reached or self.failed:
            return
        begins = self.reached < self.after.offset or self.reached == ORIGIN.offset
        self.reached = offset
        if begins and self.after != ORIGIN:
            # The stream must still have the cursor's own message, or it may have lost others after it too.
            self.failed = (offset, fingerprint(body)) != self.after
            return
        if begins and offset != 0:
            self.failed = True
            return
        self._take(Cursor(offset, fingerprint(body)), body, book)

    @property
    def events(self) -> list[Event]:
        """What was found."""
        return self._events

    def _take(self, cursor: Cursor, body: bytes, book: JobBook) -> None:
        fields = decode(body)
        if fields is None or fields["tenant"] != self._tenant:
            return
        job_id = fields["job_id"]
        if ALL_JOBS not in self._interests and job_id not in self._interests:
            return
        # The record here begins with the first event after the cursor, so it can't tell what is stale at the very
        # end; the book can, for it has seen all: past a job's last event nothing counted.
        known = book.get(self._tenant, job_id)
        record = self._jobs.get(job_id)
        late = known is not None and cursor.offset > known.offset
        if late or judge(record.fields if record else None, fields) is not Verdict.APPLY:
            return
        if record is None:
            record = self._jobs[job_id] = Record()
        applied = record.apply(fields, cursor.offset)
        event = Event(cursor, {**fields, **{name: applied[name] for name in applied.keys() & fields.keys()}})
        if wants(self._interests, event):
            self._hold(event)

    def _hold(self, event: Event) -> None:
        self._events.append(event)
        self._size += len(event.frame)
        if self._size > self._max_bytes:
            self._events = shorten(self._events, above=0)
            self._size = sum(len(held.frame) for held in self._events)
            # Conflating on every further event would be quadratic, so it must have helped a good deal.
            self.failed = self._size > self._max_bytes // 2
