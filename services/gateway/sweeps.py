"""Looking for jobs in limbo: silent ones, whose worker is lost, and waiting ones, whose message is."""

import asyncio
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

from aiormq.exceptions import ChannelNotFoundEntity

from services.common import topology
from services.common.bus import BROKER_ERRORS, Bus
from services.common.jobs import now, timestamp
from services.common.logs import get_logger
from services.gateway.projector import Projector
from services.gateway.settings import GatewaySettings
from services.gateway.store.engine import StoreUnavailableError
from services.gateway.store.store import Store
from services.gateway.store.sweeping import (
    Suspect,
    find_overtaken,
    find_silent,
    find_waiting,
    requeue_waiting,
    restart_silent,
)

log = get_logger(__name__)

_BATCH: Final = 500
# After the gateway has been away, or the broker, workers get this long to be heard before they count as silent.
_LISTENING_S: Final = 60.0
_WORK_QUEUES: Final = (topology.JOBS_QUEUE, *map(topology.retry_queue, topology.RETRY_DELAYS_S))


@dataclass(frozen=True, slots=True)
class QueueCounts:
    """Messages ready for delivery: work, in all the queues where it may wait, and events for the gateway."""

    work: int
    events: int


async def count_ready(bus: Bus) -> QueueCounts | None:
    """How much is in the queues; None if the broker cannot say, or a queue was missing and has been made again."""
    try:
        channel = await bus.channel()
        try:
            counts = {}
            for name in (*_WORK_QUEUES, topology.GATEWAY_QUEUE):
                queue = await channel.declare_queue(name, passive=True)
                counts[name] = queue.declaration_result.message_count or 0
        except ChannelNotFoundEntity:
            await bus.declare()
            return None
        finally:
            await channel.close()
    except BROKER_ERRORS as error:
        log.info("queues_not_counted", error=repr(error))
        return None
    return QueueCounts(work=sum(counts[name] for name in _WORK_QUEUES), events=counts[topology.GATEWAY_QUEUE])


class Hearing:
    """Whether this gateway has listened for long enough to call a worker silent.  Times in seconds of one clock."""

    def __init__(self, enough_s: float) -> None:
        self._enough_s = enough_s
        self._since: float | None = None
        self._at = 0.0

    def note(self, *, hears: bool, caught_up: bool, at: float) -> None:
        """How it is at the time `at`.

        Args:
            hears: events and progress come here.
            caught_up: what came while nobody heard is on disk.
            at: not before the last one.
        """
        self._at = at
        if not hears:
            self._since = None
        elif self._since is None and caught_up:
            self._since = at

    @property
    def enough(self) -> bool:
        """True if for so long nothing that workers say can have been missed, or still be on its way."""
        return self._since is not None and self._at - self._since >= self._enough_s


class Sweeper:
    """Sweeps.  `run` belongs in the service's task group."""

    def __init__(self, settings: GatewaySettings, store: Store, bus: Bus, projector: Projector) -> None:
        self._settings = settings
        self._store = store
        self._bus = bus
        self._projector = projector
        self._hearing = Hearing(min(_LISTENING_S, settings.job_timeout))
        self._empty_before = False

    async def run(self) -> None:
        """Sweep until cancelled."""
        while True:
            try:
                await self._sweep()
            except StoreUnavailableError as error:
                log.warning("sweep_failed", error=repr(error))
            await asyncio.sleep(self._settings.sweep_interval)

    async def _sweep(self) -> None:
        counts = await count_ready(self._bus)
        self._note_hearing(counts)
        empty, self._empty_before = self._empty_before, counts is not None and counts.work == 0
        async with self._store.claim("sweep") as ours:
            if not ours:
                return
            if self._hearing.enough:
                await self._restart_silent()
            # Twice in a row: a message that is just between two queues must not be taken for lost.
            if empty and self._empty_before:
                cutoff = timestamp(now() - timedelta(seconds=self._settings.vanished_after))
                await self._requeue(await self._store.read(find_waiting, cutoff, _BATCH), cutoff)
            elif self._hearing.enough:
                margin_s = self._settings.vanished_after
                await self._requeue(await self._store.read(find_overtaken, margin_s, _BATCH), timestamp(now()))

    def _note_hearing(self, counts: QueueCounts | None) -> None:
        self._hearing.note(
            hears=self._bus.connected and self._projector.listening,
            caught_up=counts is not None and counts.events == 0 and self._projector.idle,
            at=asyncio.get_running_loop().time(),
        )

    async def _restart_silent(self) -> None:
        cutoff = timestamp(now() - timedelta(seconds=self._settings.job_timeout))
        ids = await self._store.read(find_silent, cutoff, _BATCH)
        suspects = [Suspect(job_id, cutoff, self._settings.max_retries) for job_id in ids]
        stuck = await asyncio.gather(*(self._store.write(restart_silent, suspect) for suspect in suspects))
        for suspect, was_stuck in zip(suspects, stuck, strict=True):
            if was_stuck:
                log.warning("job_stuck", job_id=suspect.job_id, silent_since=cutoff)

    async def _requeue(self, ids: list[str], cutoff: str) -> None:
        suspects = [Suspect(job_id, cutoff) for job_id in ids]
        requeued = await asyncio.gather(*(self._store.write(requeue_waiting, suspect) for suspect in suspects))
        if any(requeued):
            log.warning("jobs_requeued", number=sum(requeued), reason="their messages have vanished")
