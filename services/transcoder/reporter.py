"""What a run tells the world: its events, numbered; its progress by the beat, outcomes never lost."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime
from typing import Any, Final

from services.common import topology, tracing
from services.common.batch import Outgoing, field_table
from services.common.bus import Bus, PublishError
from services.common.errors import JobError
from services.common.jobs import Progress, Stage, now
from services.common.logs import get_logger
from services.common.messages import (
    Cancelled,
    Completed,
    Event,
    Failed,
    Progressed,
    Retrying,
    Started,
    WorkMessage,
    event_routing_key,
)
from services.common.sequence import MAX_EVENTS_PER_DELIVERY, seq_after
from services.common.tasks import unbroken
from services.transcoder.beat import Beat

log = get_logger(__name__)

_OUTCOME_PAUSE_S: Final = 0.5


class Reporter:
    """Publishes the events of one attempt of one job."""

    def __init__(self, bus: Bus, beat: Beat, work: WorkMessage, *, attempt: int, first: bool) -> None:
        """Report on `attempt` of `work`.

        Args:
            bus: the broker.
            beat: sends progress.
            work: the message that asked for the job.
            attempt: the attempt that runs, at least the message's.
            first: False if somebody may have reported on this message before.
        """
        self._bus = bus
        self._beat = beat
        self._work = work
        self._attempt = attempt
        since = None if first else work.queued_at
        unknown = 0 if first or since else work.deliveries * MAX_EVENTS_PER_DELIVERY
        self.seq = seq_after(work.seq + unknown, since, now()) - 1
        self._headers = b""
        self._latest: tuple[Stage, Progress] | None = None
        self._told_of_start = False
        self.percent: float | None = work.percent_floor

    def progress(self, stage: Stage, progress: Progress) -> None:
        """Take note of how far the run is; what is not sent in time is replaced by what comes after."""
        if progress.percent is not None:
            self.percent = max(progress.percent, self.percent or 0.0)
        if self.percent is not None:
            progress = progress.model_copy(update={"percent": self.percent})
        self._latest = (stage, progress)
        if self._told_of_start:
            self._beat.changed(self)

    def newest(self) -> Outgoing:
        """The event that says how far the run is now."""
        assert self._latest is not None
        stage, progress = self._latest
        event = Progressed(**self._head(now()), stage=stage, progress=progress)
        return Outgoing(topology.EVENTS, event_routing_key(event), event.encode(), self._headers, persistent=False)

    @asynccontextmanager
    async def reporting(self, *, after: JobError | None = None) -> AsyncIterator[None]:
        """Say that the run has begun, send progress while the body runs, and nothing after it.

        `after` is why the attempt before this one has ended, if nobody has said so yet.
        """
        beginning = asyncio.create_task(self._begin(after), name="tell of the start")
        try:
            yield
        finally:
            await unbroken(self._end(beginning))

    async def _end(self, beginning: asyncio.Task[None]) -> None:
        """The run does not wait for its beginning to be told, but its end must not be told first."""
        await asyncio.wait({beginning})
        self._told_of_start = False
        await self._beat.forget(self)
        beginning.result()

    async def retrying(self, reason: JobError, *, delay_s: float) -> None:
        """Say that this attempt follows one that ended for `reason`, after `delay_s` seconds."""
        await self._surely(Retrying(**self._head(now()), reason=reason, delay_s=delay_s))

    async def completed(self, outcome: Completed) -> None:
        """Publish the outcome as given, numbered anew."""
        head = self._head(now())
        await self._surely(outcome.model_copy(update={"seq": head["seq"], "time": head["time"]}))

    async def failed(self, error: JobError) -> None:
        """Say that the job has failed."""
        moment = now()
        await self._surely(Failed(**self._head(moment), error=error, finished_at=moment))

    async def cancelled(self) -> None:
        """Say that the job was stopped as asked."""
        moment = now()
        await self._surely(Cancelled(**self._head(moment), finished_at=moment))

    def _head(self, moment: datetime) -> dict[str, Any]:
        self.seq += 1
        return {
            "job_id": self._work.job_id,
            "tenant": self._work.tenant,
            "attempt": self._attempt,
            "seq": self.seq,
            "time": moment,
        }

    async def _surely(self, event: Event) -> None:
        """Publish what must not be lost, however long the broker is away: the work behind it is done and paid for."""
        while True:
            try:
                await self._bus.publish(topology.EVENTS, event_routing_key(event), event.encode())
            except PublishError as error:
                log.warning("outcome_not_published", error=repr(error))
                await asyncio.sleep(_OUTCOME_PAUSE_S)
                await self._bus.wait_connected()
            else:
                return

    async def _begin(self, after: JobError | None) -> None:
        moment = now()
        about = self._work.model_dump(include={"filename", "input_path", "output_format", "output_path", "options"})
        if after is not None:
            await self.retrying(after, delay_s=0.0)
        await self._surely(Started(**self._head(moment), **about, started_at=moment))
        self._headers = field_table(tracing.headers())
        self._told_of_start = True
        if self._latest is not None:
            self._beat.changed(self)
