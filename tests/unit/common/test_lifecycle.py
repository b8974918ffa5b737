"""The parts of a service: none is ever silently missing."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import anyio
import pytest

from services.common.lifecycle import Service


async def _ends() -> None:
    return


async def _fails() -> None:
    raise ValueError("broken")


async def _is_let_go_of() -> None:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future


@pytest.mark.parametrize(
    ("run", "message"), [(_ends, "ended by itself"), (_fails, "broken"), (_is_let_go_of, "cancelled by nobody")]
)
async def test_a_part_that_is_over_ends_the_service(run: Callable[[], Awaitable[None]], message: str):
    others_stopped = asyncio.Event()

    async def other() -> None:
        try:
            await anyio.sleep_forever()
        finally:
            others_stopped.set()

    async def both() -> None:
        async with AsyncExitStack() as resources, anyio.create_task_group() as tasks:
            service = Service(tasks, resources)
            service.start("other", other)
            service.start("part", run)

    with pytest.raises(ExceptionGroup) as caught:
        await both()
    [error] = caught.value.exceptions
    assert message in str(error)
    assert others_stopped.is_set()


async def test_a_part_that_is_stopped_does_not():
    stopped = []

    async def part(name: str) -> None:
        try:
            await anyio.sleep_forever()
        finally:
            stopped.append(name)

    async with AsyncExitStack() as resources, anyio.create_task_group() as tasks:
        service = Service(tasks, resources)
        for name in ("first", "second"):
            service.start(name, lambda name=name: part(name))
        await anyio.lowlevel.checkpoint()
        await service.stop_all()
    assert stopped == ["second", "first"]
