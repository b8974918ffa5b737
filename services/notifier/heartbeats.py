"""When each connection's next sign of life is due, without a timer for each."""

from collections.abc import Iterator

from services.notifier.connection import Connection

_SLOTS = 20


class Wheel:
    """Spreads the connections over the heartbeat interval; every beat serves one slot of it."""

    def __init__(self, interval_s: float) -> None:
        self._step = interval_s / _SLOTS
        self._slots: list[set[Connection]] = [set() for _ in range(_SLOTS)]
        self._hand = 0
        self._next: float | None = None

    def __iter__(self) -> Iterator[Connection]:
        for slot in self._slots:
            yield from slot

    def __len__(self) -> int:
        return sum(map(len, self._slots))

    @property
    def next_at(self) -> float | None:
        """When the next beat is due; None while there is nobody."""
        return self._next if any(self._slots) else None

    def add(self, connection: Connection, now: float) -> None:
        """Take `connection` in; its turn comes a whole interval from now."""
        if self._next is None or not any(self._slots):
            self._next = now + self._step
        connection.slot = (self._hand - 1) % _SLOTS
        self._slots[connection.slot].add(connection)

    def remove(self, connection: Connection) -> None:
        """Let `connection` go."""
        self._slots[connection.slot].discard(connection)

    def due(self, now: float) -> list[Connection]:
        """The connections whose turn has come by `now`."""
        turn: list[Connection] = []
        if self._next is None:
            return turn
        for _ in range(_SLOTS):
            if self._next > now:
                break
            turn += self._slots[self._hand]
            self._hand = (self._hand + 1) % _SLOTS
            self._next += self._step
        else:
            self._next = max(self._next, now)  # the process slept: one round is enough
        return turn
