"""One message at a time from a queue: a consumer that is there only while there is a hand free for its message.

A plain consumer with a prefetch is sent the next message as soon as it has settled one, and holds it however long the
work before it takes, while another worker may be idle.
"""

import asyncio
from collections.abc import Callable
from random import uniform
from typing import Final
from uuid import uuid4

import anyio
from aio_pika.abc import AbstractChannel, AbstractIncomingMessage, AbstractQueue

from services.common.bus import BROKER_ERRORS, HEARTBEAT_S, Bus, Delivery, declare_queue
from services.common.logs import get_logger

log = get_logger(__name__)

_BACKOFF_S: Final = (0.1, 5.0)  # first and longest pause between attempts, each jittered
# A consumer that was left behind would take a message for which there is no hand.  Past this the connection is dead.
_CANCEL_TIMEOUT_S: Final = 2.0 * HEARTBEAT_S


class Intake:
    """Takes messages of `queue`; what was taken is settled as any delivery, also after the intake was cancelled."""

    def __init__(self, bus: Bus, queue: str, handler: Callable[[Delivery], None]) -> None:
        """`handler` is called synchronously for each delivery and must not block."""
        self._bus = bus
        self._queue = queue
        self._handler = handler
        self._line: _Line | None = None

    async def take(self, *, priority: int = 0) -> None:
        """Hand the next message to the handler, and return when it has been.

        Survives the loss of channel, connection and queue.  A message that is on its way when this is cancelled
        still goes to the handler.

        Args:
            priority: among all consumers of the queue; the broker serves the highest that waits.
        """
        pause = _BACKOFF_S[0]
        while True:
            await self._bus.wait_connected()
            try:
                if await (await self._opened()).take(self._handler, priority):
                    return
            except BROKER_ERRORS as error:
                log.warning("intake_lost", queue=self._queue, error=repr(error), retry_in_s=round(pause, 1))
            if self._line is not None:
                await self._line.close()
            await asyncio.sleep(uniform(pause / 2, pause))
            pause = min(pause * 2, _BACKOFF_S[1])

    async def _opened(self) -> "_Line":
        if self._line is not None and self._line.lost:
            # What was taken by it is the broker's again, and comes back.
            log.warning("consumer_interrupted", queue=self._queue)
            self._line = None
        if self._line is None:
            self._line = await _Line.open(self._bus, self._queue)
        return self._line


class _Line:
    """A channel to the queue.  Whatever came by it is settled on it, so it stays open from one message to the next."""

    def __init__(self, channel: AbstractChannel, queue: AbstractQueue) -> None:
        self._channel = channel
        self._queue = queue
        self._stirred = asyncio.Event()  # a message has come, or none will
        self._cancelled = False

    @classmethod
    async def open(cls, bus: Bus, name: str) -> "_Line":
        channel = await bus.channel()
        await channel.set_qos(prefetch_count=1)
        await declare_queue(channel, name)
        line = cls(channel, await channel.get_queue(name, ensure=False))
        channel.close_callbacks.add(lambda *_: line._stirred.set())
        underlay = await channel.get_underlay_channel()
        # The broker cancels the consumers of a queue that is deleted, and leaves the channel open.
        underlay.on_consumer_cancel_callbacks.add(line._on_cancel)
        return line

    @property
    def lost(self) -> bool:
        return self._cancelled or self._channel.is_closed

    async def take(self, handler: Callable[[Delivery], None], priority: int) -> bool:
        """True once a message was taken, False if none will come any more."""
        taken = False

        async def on_message(message: AbstractIncomingMessage) -> None:
            nonlocal taken
            taken = True
            self._stirred.set()
            handler(Delivery(message))

        self._stirred.clear()
        tag = uuid4().hex
        try:
            await self._queue.consume(
                on_message, consumer_tag=tag, arguments={"x-priority": priority} if priority else None
            )
            if not self.lost:
                await self._stirred.wait()
        finally:
            # Shielded: in a cancelled scope nothing else would get to the broker, and deliveries would go on.
            with anyio.move_on_after(_CANCEL_TIMEOUT_S, shield=True):
                await self._end(tag)
        return taken

    async def close(self) -> None:
        if self._channel.is_closed:
            return
        try:
            await self._channel.close()
        except BROKER_ERRORS as error:
            log.debug("channel_close_failed", queue=self._queue.name, error=repr(error))

    async def _end(self, tag: str) -> None:
        if self.lost:
            return
        try:
            await self._queue.cancel(tag)
        except BROKER_ERRORS as error:
            log.debug("consumer_cancel_failed", queue=self._queue.name, error=repr(error))

    def _on_cancel(self, _: object) -> None:
        self._cancelled = True
        self._stirred.set()
