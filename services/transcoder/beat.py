"""How far the runs here are, told to the broker: a batch at each beat, the newest of each run in it.

One write wakes broker and readers once for all runs.  Progress that is not told is replaced by what comes after.
"""

import asyncio
from typing import Final, Protocol

from services.common.batch import Outgoing
from services.common.bus import Bus
from services.common.logs import get_logger

log = get_logger(__name__)

_TIMEOUT_S: Final = 2.0


class Source(Protocol):
    """A run that is under way."""

    def newest(self) -> Outgoing:
        """What there is to tell now."""
        ...


class Beat:
    """Tells of progress at most every `interval_s` seconds, at once if there was none before.

    `run` belongs in the service's task group.
    """

    def __init__(self, bus: Bus, interval_s: float) -> None:
        self._bus = bus
        self._interval_s = interval_s
        self._changed: dict[Source, None] = {}  # in the order they came
        self._some = asyncio.Event()
        self._settled = asyncio.Event()
        self._settled.set()

    def changed(self, source: Source) -> None:
        """Tell of `source` at the next beat."""
        self._changed[source] = None
        self._some.set()

    async def forget(self, source: Source) -> None:
        """Tell of `source` no more; on return nothing of it is on its way."""
        self._changed.pop(source, None)
        await self._settled.wait()

    async def run(self) -> None:
        """Beat until cancelled."""
        while True:
            await self._some.wait()
            self._some.clear()
            sources, self._changed = self._changed, {}
            if sources:
                await self._tell([source.newest() for source in sources])
                await asyncio.sleep(self._interval_s)

    async def _tell(self, messages: list[Outgoing]) -> None:
        self._settled.clear()
        try:
            results = await self._bus.publish_batch(messages, timeout_s=_TIMEOUT_S)
        finally:
            self._settled.set()
        for error in results:
            if error is not None:
                log.debug("progress_not_published", error=repr(error))
