"""How far runs are, told by the beat: together, the newest only, and nothing after the end."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

import aio_pika
import pytest

from services.common import topology
from services.common.batch import Outgoing
from services.common.bus import Bus
from services.transcoder.beat import Beat
from tests.buses import connected
from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

_KEY = "job.progress.default.some-job"


class _Run:
    """Says its name and how often it was asked."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._asked = 0
        self.asked = asyncio.Event()

    def newest(self) -> Outgoing:
        self._asked += 1
        self.asked.set()
        return Outgoing(topology.EVENTS, _KEY, f"{self._name}{self._asked}".encode(), persistent=False)


@contextlib.asynccontextmanager
async def _heard(url: str) -> AsyncIterator["asyncio.Queue[str]"]:
    heard: asyncio.Queue[str] = asyncio.Queue()
    async with await aio_pika.connect(url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        await queue.bind(topology.EVENTS, _KEY)

        async def take(message: aio_pika.abc.AbstractIncomingMessage) -> None:
            heard.put_nowait(message.body.decode())

        await queue.consume(take, no_ack=True)
        yield heard


@contextlib.asynccontextmanager
async def _beating(bus: Bus, interval_s: float) -> AsyncIterator[Beat]:
    beat = Beat(bus, interval_s)
    running = asyncio.create_task(beat.run())
    try:
        yield beat
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)


async def _next(heard: "asyncio.Queue[str]") -> str:
    async with asyncio.timeout(30):
        return await heard.get()


async def test_runs_are_told_of_together_once_a_beat(own_stack: Stack):
    async with connected(own_stack.amqp_url) as bus, _heard(own_stack.amqp_url) as heard:
        async with _beating(bus, interval_s=0.05) as beat:
            first, second, gone = _Run("first"), _Run("second"), _Run("gone")
            for run in (first, gone, second, first, first):
                beat.changed(run)
            await beat.forget(gone)
            assert [await _next(heard), await _next(heard)] == ["first1", "second1"]
            beat.changed(second)
            assert await _next(heard) == "second2"
        assert heard.empty()


async def test_an_end_is_not_told_before_what_was_on_its_way(own_stack: Stack):
    url = own_stack.amqp_url
    async with connected(url) as bus, _heard(url) as heard, _beating(bus, interval_s=0.0) as beat:
        for _ in range(50):
            run = _Run("step")
            beat.changed(run)
            await run.asked.wait()
            await beat.forget(run)
            await bus.publish(topology.EVENTS, _KEY, b"end")
            assert [await _next(heard), await _next(heard)] == ["step1", "end"]


async def test_it_goes_on_while_the_broker_is_away():
    async with _beating(Bus("amqp://127.0.0.1:1/", name="nobody"), interval_s=0.0) as beat:
        run = _Run("alone")
        for _ in range(2):
            run.asked.clear()
            beat.changed(run)
            async with asyncio.timeout(30):
                await run.asked.wait()
        await beat.forget(run)
