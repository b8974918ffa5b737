"""The right to run a job: an exclusive queue of the broker, gone with the connection that holds it.

A work message may be delivered again while its first receiver is alive and well: the broker took it back because
the job ran longer than its `consumer_timeout`, or the connection was cut, or the relay sent it twice.  The lease
tells the second receiver that somebody is on it, without a clock and without a database.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Final

from aio_pika.abc import AbstractChannel

from services.common.bus import BROKER_ERRORS, HEARTBEAT_S, Bus, PublishError
from services.common.logs import get_logger
from services.common.tasks import unbroken

log = get_logger(__name__)

_RETRY_S: Final = 0.5
# The broker may take two heartbeats to see that our own last connection, which still holds the lease, is dead.
_GHOST_S: Final = 2.5 * HEARTBEAT_S
_LOCKED: Final = "RESOURCE_LOCKED"
# More than there are other jobs here that may be refused their leases in one moment.
_TRIES: Final = 10


class LeaseHeldError(Exception):
    """Another transcoder, alive, runs this job."""


class Lease:
    """A held lease.  `lost` is set when another transcoder has taken the job over."""

    def __init__(self, bus: Bus, job_id: str) -> None:
        self._bus = bus
        self._queue = f"video-run.{job_id}"
        self._channel: AbstractChannel | None = None
        self.lost = asyncio.Event()

    async def acquire(self) -> None:
        """Take the lease.

        Raises:
            LeaseHeldError: somebody else has it.
            PublishError: the broker is away.
        """
        self._channel = await self._ask(
            lambda channel: channel.declare_queue(self._queue, exclusive=True, durable=False)
        )

    async def keep(self) -> None:
        """Take the lease anew after each loss of the connection; set `lost` if somebody was faster.

        Where only the channel was lost, because another job's lease was refused, it is still ours.
        """
        while True:
            assert self._channel is not None
            await self._channel.closed()
            deadline = asyncio.get_running_loop().time() + _GHOST_S
            while not await self._regained():
                if self._bus.connected and asyncio.get_running_loop().time() > deadline:
                    log.warning("lease_lost", queue=self._queue)
                    self.lost.set()
                    return
                await asyncio.sleep(_RETRY_S)

    async def release(self) -> None:
        """Give the lease up; one that went with its connection is no error."""
        try:
            await self._ask(lambda channel: channel.queue_delete(self._queue))
        except (LeaseHeldError, PublishError) as error:
            log.debug("lease_release_failed", queue=self._queue, error=repr(error))

    async def _ask(self, question: Callable[[AbstractChannel], Awaitable[object]]) -> AbstractChannel:
        """Put `question` to the broker; the channel by which it was answered.  Raises as `acquire` does.

        A question that is broken off closes the channel for all who use it.
        """
        return await unbroken(self._answer(question))

    async def _answer(self, question: Callable[[AbstractChannel], Awaitable[object]]) -> AbstractChannel:
        tries = 0
        while True:
            try:
                channel = await self._bus.common_channel()
                await question(channel)
            except BROKER_ERRORS as error:
                if _LOCKED in str(error) and f"'{self._queue}'" in str(error):
                    raise LeaseHeldError(self._queue) from None
                # The refusal of another job's lease closes the channel for ours too.
                tries += 1
                if tries == _TRIES:
                    raise PublishError(repr(error)) from error
            else:
                return channel

    async def _regained(self) -> bool:
        try:
            await self.acquire()
        except (LeaseHeldError, PublishError):
            return False
        return True


@asynccontextmanager
async def hold(bus: Bus, job_id: str) -> AsyncIterator[Lease]:
    """Hold the lease of `job_id`; raises as `Lease.acquire` does."""
    lease = Lease(bus, job_id)
    try:
        await lease.acquire()
    except asyncio.CancelledError:
        # It may have been granted, and would be kept for as long as the connection lasts.
        await lease.release()
        raise
    keeper = asyncio.create_task(lease.keep(), name=f"lease {job_id}")
    try:
        yield lease
    finally:
        await unbroken(_end(lease, keeper))


async def _end(lease: Lease, keeper: asyncio.Task[None]) -> None:
    keeper.cancel()
    await asyncio.gather(keeper, return_exceptions=True)
    await lease.release()
