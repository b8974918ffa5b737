"""Questions over the broker to whichever service is free to answer, for answers that are worth little later."""

import asyncio
from typing import Final
from uuid import uuid4

from aio_pika.abc import AbstractIncomingMessage

from services.common.bus import BROKER_ERRORS, Bus, PublishError
from services.common.logs import get_logger

log = get_logger(__name__)

_PAUSE_S: Final = 0.5


class NoAnswerError(Exception):
    """Nobody answered in time, or the broker is away."""


class Caller:
    """Asks, and waits for answers in a queue of its own.  `run` must be running."""

    def __init__(self, bus: Bus, name: str) -> None:
        self._bus = bus
        self._queue = f"{name}.answers.{uuid4()}"
        self._waiting: dict[str, asyncio.Future[bytes]] = {}
        self._ready = asyncio.Event()

    async def run(self) -> None:
        """Keep the queue of answers, made anew after each loss of the connection, until cancelled."""
        while True:
            await self._bus.wait_connected()
            try:
                channel = await self._bus.channel()
                queue = await channel.declare_queue(self._queue, exclusive=True, durable=False)
                await queue.consume(self._take, no_ack=True)
                self._ready.set()
                await channel.closed()
            except (*BROKER_ERRORS, PublishError) as error:
                log.warning("answers_lost", error=repr(error))
            finally:
                self._ready.clear()
            await asyncio.sleep(_PAUSE_S)

    async def call(self, queue: str, body: bytes, *, timeout_s: float) -> bytes:
        """Put a question into `queue` and return the answer.

        Raises:
            NoAnswerError: nobody listens, or none came within `timeout_s`.
        """
        question = str(uuid4())
        answer = self._waiting[question] = asyncio.get_running_loop().create_future()
        try:
            async with asyncio.timeout(timeout_s):
                await self._ready.wait()
                await self._see_who_listens(queue)
                await self._bus.publish("", queue, body, message_id=question, reply_to=self._queue)
                reply: bytes = await answer
                return reply
        except NoAnswerError:
            raise
        except BROKER_ERRORS as error:
            raise NoAnswerError(repr(error)) from error
        finally:
            del self._waiting[question]

    async def _see_who_listens(self, queue: str) -> None:
        channel = await self._bus.channel()
        try:
            declared = await channel.declare_queue(queue, passive=True)
        finally:
            await channel.close()
        if not declared.declaration_result.consumer_count:
            raise NoAnswerError(f"nobody listens to {queue}")

    async def _take(self, message: AbstractIncomingMessage) -> None:
        waiting = self._waiting.get(message.message_id or "")
        if waiting is not None and not waiting.done():
            waiting.set_result(message.body)
