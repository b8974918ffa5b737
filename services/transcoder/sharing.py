"""Which processors an encode runs on: a share of its own while every place has one, all of them otherwise.

The threads of an encode wake each other hundreds of times a second.  Where that crosses to another processor it takes
an interrupt and cold caches; with several encodes that fill the machine there is nothing to win by it.
"""

import asyncio
import contextlib
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from services.transcoder import processors

_PROC: Final = Path("/proc")
# The next job follows at once where there is one; a share is not given up for the moment in between.
_PAUSE_S: Final = 0.5


def shares(places: int) -> tuple[frozenset[int], ...]:
    """As many equal shares of the processors as there are places, neighbours together.

    None where they can't be equal, or where a quota rather than the number of processors is the limit.
    """
    bound = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
    size, over = divmod(len(bound), places)
    if places == 1 or size == 0 or over or processors.available() < len(bound):
        return ()
    return tuple(frozenset(bound[first : first + size]) for first in range(0, len(bound), size))


def confine(group: int, to: Collection[int]) -> None:
    """Binds every thread of every process of the process group `group` to the processors `to`."""
    bound: set[int] = set()
    # A thread that was made meanwhile may have inherited the old processors from one not yet bound.
    while new := _threads(group) - bound:
        for thread in new:
            with contextlib.suppress(OSError):  # it has ended, or an administrator took the processor away
                os.sched_setaffinity(thread, to)
        bound |= new


def _threads(group: int) -> set[int]:
    found: set[int] = set()
    for process in _PROC.iterdir():
        with contextlib.suppress(OSError):
            if process.name.isdecimal() and os.getpgid(int(process.name)) == group:
                found.update(int(thread.name) for thread in (process / "task").iterdir())
    return found


class Sharing:
    """The encodes under way, each leader of its process group, and their shares."""

    def __init__(
        self,
        shares: Sequence[Collection[int]] = (),
        *,
        confine: Callable[[int, Collection[int]], None] = confine,
        pause_s: float = _PAUSE_S,
    ) -> None:
        """Without `shares` every encode runs everywhere.  `pause_s` after one has ended the others may spread."""
        self._shares = shares
        self._confine = confine
        self._pause_s = pause_s
        self._running: dict[int, Collection[int] | None] = {}
        self._spreading: asyncio.TimerHandle | None = None

    @contextmanager
    def encode(self) -> Iterator["Encode"]:
        """One encode, which is over at the end of the block if not before."""
        encode = Encode(self)
        try:
            yield encode
        finally:
            encode.over()

    def began(self, group: int) -> None:
        """An encode runs as process group `group`."""
        if not self._shares:
            return
        self._running[group] = None
        if len(self._running) < len(self._shares):
            return
        if self._spreading is not None:
            self._spreading.cancel()
            self._spreading = None
        free = [share for share in self._shares if share not in self._running.values()]
        for each, share in self._running.items():
            if share is None and free:
                self._running[each] = free[0]
                self._confine(each, free.pop(0))

    def over(self, group: int) -> None:
        """It needs no share any more."""
        self._running.pop(group, None)
        confined = any(share is not None for share in self._running.values())
        if confined and len(self._running) < len(self._shares) and self._spreading is None:
            self._spreading = asyncio.get_running_loop().call_later(self._pause_s, self._spread)

    def _spread(self) -> None:
        self._spreading = None
        everywhere = {processor for share in self._shares for processor in share}
        for group, share in self._running.items():
            if share is not None:
                self._running[group] = None
                self._confine(group, everywhere)


class Encode:
    """One encode: nothing before `began`, nothing after `over`."""

    def __init__(self, sharing: Sharing) -> None:
        self._sharing = sharing
        self._group: int | None = None

    def began(self, group: int) -> None:
        """It runs as process group `group`."""
        self._group = group
        self._sharing.began(group)

    def over(self) -> None:
        """It has nothing left to do but to end."""
        if self._group is not None:
            self._sharing.over(self._group)
            self._group = None
