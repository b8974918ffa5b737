"""A job in work, and the ways in which it can end."""

import asyncio
from enum import Enum
from typing import Final

from services.common.bus import Delivery
from services.common.jobs import Progress, Stage, now
from services.common.messages import WorkMessage
from services.transcoder.places import Place

# Seconds before the end of a job in which the next one is fetched and probed.  Longer would keep it from a transcoder
# that has nothing to do.
_AHEAD_S: Final = 3.0


class Abort(Enum):
    """Why a run was stopped from outside."""

    CANCELLED = "cancelled"  # a user's wish: final
    SUPERSEDED = "superseded"  # another attempt counts now: say nothing
    SHUTDOWN = "shutdown"  # this process ends: give the job back


class Settlement(Enum):
    """What becomes of the deliveries of a run that has ended."""

    DONE = "done"
    DEAD = "dead"
    AGAIN = "again"


def nearly_done(stage: Stage, progress: Progress) -> bool:
    """True if the machine will soon have nothing to do for a job that is this far."""
    soon = progress.eta_s is not None and progress.eta_s <= _AHEAD_S
    return stage is Stage.UPLOADING or (stage is Stage.TRANSCODING and soon)


class Run:
    """A job in work here.  `deliveries` are all that are settled together when it ends.

    `hand` is held until the machine will soon have nothing to do for it.
    """

    def __init__(self, work: WorkMessage, delivery: Delivery, task: asyncio.Task[None], hand: Place) -> None:
        self.work = work
        self.deliveries = [delivery]
        self.abort: Abort | None = None
        self.task = task
        self.hand = hand
        self._sealed = False

    def stop(self, reason: Abort) -> None:
        """Abort the run, unless its outcome is decided; the first reason counts."""
        if self.abort is None and not self._sealed:
            self.abort = reason
            self.task.cancel()

    def seal(self) -> None:
        """From here on the outcome is decided and being told; nothing may interrupt that."""
        self._sealed = True
        while self.task.cancelling():
            self.task.uncancel()

    async def settle(self, settlement: Settlement) -> None:
        """Settle every delivery of the job."""
        for delivery in self.deliveries:
            if settlement is Settlement.DONE:
                await delivery.ack()
            elif settlement is Settlement.DEAD:
                await delivery.reject()
            else:
                await delivery.requeue()


def original(work: WorkMessage) -> WorkMessage:
    """`work` as it was asked for, its deliveries counted beside the attempt instead of in it."""
    return work.model_copy(update={"attempt": work.attempt - work.deliveries})


def next_attempt(work: WorkMessage, *, retries: int, seq: int) -> WorkMessage:
    """The message that asks for `work` once more, after `retries` of its attempts; its events follow on `seq`."""
    return work.model_copy(
        update={
            "attempt": work.attempt + 1,
            "retries": retries,
            "deliveries": 0,
            "percent_floor": None,
            "seq": seq,
            "queued_at": now(),
            "parked": 0,
        }
    )
