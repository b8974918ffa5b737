"""What the hub keeps of one connection: as little as it can, for there may be ten thousand."""

from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from services.notifier.events import Event
from services.notifier.frames import Flavour

if TYPE_CHECKING:
    from services.notifier.groups import Group


class Backlog:
    """What waits for a slow reader: the newest progress of each job, and every other event, in stream order."""

    __slots__ = ("_waiting", "conflated", "size")

    def __init__(self) -> None:
        self._waiting: dict[str | int, Event] = {}
        self.conflated = 0
        self.size = 0

    def __len__(self) -> int:
        return len(self._waiting)

    def add(self, event: Event) -> None:
        """Hold `event`; it takes the place of the job's progress, which it overtakes."""
        overtaken = self._waiting.pop(event.job_id, None)
        if overtaken is not None:
            self.conflated += 1
            self.size -= len(overtaken.frame)
        # Progress is found again by its job; a dict keeps the order of insertion, which is the stream's.
        self._waiting[event.job_id if event.lossy else event.offset] = event
        self.size += len(event.frame)

    def extend(self, events: Iterable[Event]) -> None:
        """Hold all of `events`."""
        for event in events:
            self.add(event)

    @property
    def events(self) -> list[Event]:
        """What waits, in stream order."""
        return list(self._waiting.values())


class Connection:
    """One client.  `sink` belongs to whoever moves the bytes; the hub never looks at it."""

    __slots__ = (
        "allowance",
        "asked_at",
        "awaiting_life",
        "backlog",
        "closed",
        "flavour",
        "group",
        "sink",
        "slot",
        "tenant",
        "waits",
        "warned_at",
    )

    def __init__(self, sink: Any, tenant: str, flavour: Flavour, allowance: float) -> None:
        self.sink = sink
        self.tenant = tenant
        self.flavour = flavour
        self.group: Group | None = None
        self.backlog: Backlog | None = None  # there is one while the reader is slow
        self.closed = False
        self.awaiting_life = False  # a heartbeat went out and nothing has come back
        self.waits = 0  # subscriptions whose past is still being looked for
        self.slot = 0
        self.warned_at: float | None = None
        self.allowance = allowance  # messages it may send at `asked_at`
        self.asked_at = 0.0
