"""The newest stretch of the stream, kept in memory so that whoever was away for a moment misses nothing.

Offsets rise but have holes: the broker gives some to notes of its own, one at least in each file of the stream.

It holds the mark of every message, for cursors to be checked against, and the events that were passed on.
"""

from bisect import bisect_left
from collections import deque
from collections.abc import Iterator
from typing import Final, NamedTuple, TypeVar

from services.notifier.cursors import Cursor
from services.notifier.events import Event

_Key = TypeVar("_Key")

# What an entry costs besides the event's own bytes, roughly.
_ENTRY_BYTES: Final = 400
_BARE_ENTRY_BYTES: Final = 100


class _Entry(NamedTuple):
    cursor: Cursor
    event: Event | None


def _cost(event: Event | None) -> int:
    return _BARE_ENTRY_BYTES if event is None else _ENTRY_BYTES + len(event.frame)


class History:
    """At most `max_bytes` of the stream's end, with nothing left out."""

    def __init__(self, *, max_bytes: int) -> None:
        self._max_bytes: Final = max_bytes
        self._bytes = 0
        self._entries: deque[_Entry] = deque()
        self._by_tenant: dict[str, deque[Event]] = {}
        self._by_job: dict[tuple[str, str], deque[Event]] = {}

    @property
    def first(self) -> int | None:
        """Offset of the oldest message still held; None while there is none."""
        return self._entries[0].cursor.offset if self._entries else None

    @property
    def size(self) -> int:
        """Bytes held, roughly."""
        return self._bytes

    def append(self, cursor: Cursor, event: Event | None) -> None:
        """Add the next message of the stream; `event` if it was passed on."""
        self._entries.append(_Entry(cursor, event))
        self._bytes += _cost(event)
        if event is not None:
            self._by_tenant.setdefault(event.tenant, deque()).append(event)
            self._by_job.setdefault((event.tenant, event.job_id), deque()).append(event)
        while self._bytes > self._max_bytes and len(self._entries) > 1:
            self._drop_first()

    def clear(self) -> None:
        """Forget all of it."""
        self._entries.clear()
        self._by_tenant.clear()
        self._by_job.clear()
        self._bytes = 0

    def holds(self, cursor: Cursor) -> bool:
        """True if the message that `cursor` names is held, and is that very message."""
        place = bisect_left(self._entries, cursor.offset, key=lambda entry: entry.cursor.offset)
        return place < len(self._entries) and self._entries[place].cursor == cursor

    def of_tenant(self, tenant: str, after: int) -> list[Event]:
        """The tenant's events past offset `after`, in order."""
        return list(_newer(self._by_tenant.get(tenant, deque()), after))

    def of_job(self, tenant: str, job_id: str, after: int) -> list[Event]:
        """The job's events past offset `after`, in order."""
        return list(_newer(self._by_job.get((tenant, job_id), deque()), after))

    def _drop_first(self) -> None:
        entry = self._entries.popleft()
        event = entry.event
        self._bytes -= _cost(event)
        if event is None:
            return
        _pop_first(self._by_tenant, event.tenant)
        _pop_first(self._by_job, (event.tenant, event.job_id))


def _newer(events: deque[Event], after: int) -> Iterator[Event]:
    newest_first = []
    for event in reversed(events):
        if event.offset <= after:
            break
        newest_first.append(event)
    return reversed(newest_first)


def _pop_first(index: dict[_Key, deque[Event]], key: _Key) -> None:
    events = index[key]
    events.popleft()
    if not events:
        del index[key]
