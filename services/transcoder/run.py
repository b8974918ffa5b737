"""A job in work, and the ways in which it can end."""

import asyncio
from enum import Enum

from services.common.bus import Delivery
from services.common.messages import WorkMessage


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


class Run:
    """A job in work here.  `deliveries` are all that are settled together when it ends."""

    def __init__(self, work: WorkMessage, delivery: Delivery, task: asyncio.Task[None]) -> None:
        self.work = work
        self.deliveries = [delivery]
        self.abort: Abort | None = None
        self.task = task
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
