"""The right to run a job: one holder at a time, and whoever is refused one job keeps all the others."""

import asyncio
import contextlib

import pytest

from services.common.bus import Bus
from services.transcoder.lease import Lease, LeaseHeldError, hold
from tests.buses import connected
from tests.stack import Stack, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _is_free(bus: Bus, job_id: str) -> bool:
    try:
        async with hold(bus, job_id):
            return True
    except LeaseHeldError:
        return False


async def _given_up(asking: "asyncio.Task[None]", steps: int) -> None:
    """Cancel after so many steps of the event loop."""
    for _ in range(steps):
        await asyncio.sleep(0)
    asking.cancel()
    await asyncio.gather(asking, return_exceptions=True)


async def test_a_refusal_takes_nothing_from_the_leases_beside_it(own_stack: Stack):
    others = [f"job-{number}" for number in range(10)]
    async with connected(own_stack.amqp_url) as first, connected(own_stack.amqp_url) as second:
        async with hold(first, "wanted"), contextlib.AsyncExitStack() as held:
            await held.enter_async_context(hold(second, "held before"))
            wanted = [Lease(second, "wanted") for _ in others]
            results = await asyncio.gather(
                *(lease.acquire() for lease in wanted),
                *(held.enter_async_context(hold(second, job)) for job in others),
                return_exceptions=True,
            )
            assert [type(result) for result in results[: len(wanted)]] == [LeaseHeldError] * len(wanted)
            assert all(isinstance(result, Lease) for result in results[len(wanted) :])
            for job in ("held before", *others):
                assert not await _is_free(first, job)
        for job in ("wanted", "held before", *others):
            assert await _is_free(first, job)
            assert await _is_free(second, job)


async def test_a_lease_ends_with_its_connection(own_stack: Stack):
    async with connected(own_stack.amqp_url) as first:
        async with connected(own_stack.amqp_url) as second:
            await Lease(second, "a job").acquire()
            assert not await _is_free(first, "a job")
        await eventually(lambda: _is_free(first, "a job"))


async def test_whoever_gives_up_while_asking_holds_nothing(own_stack: Stack):
    async with connected(own_stack.amqp_url) as first, connected(own_stack.amqp_url) as second:
        for steps in range(40):  # of the event loop: up to where the broker has answered

            async def take(job: str = f"given up after {steps}") -> None:
                async with hold(second, job):
                    pass

            await _given_up(asyncio.create_task(take()), steps)
        for steps in range(40):
            assert await _is_free(first, f"given up after {steps}"), steps


async def test_whoever_gives_up_at_the_end_holds_nothing(own_stack: Stack):
    async with connected(own_stack.amqp_url) as first, connected(own_stack.amqp_url) as second:
        for steps in range(20):  # of the event loop: from the end of the work to where all is given back
            done = asyncio.Event()

            async def take(job: str = f"ended {steps} before", done: asyncio.Event = done) -> None:
                async with hold(second, job):
                    done.set()

            asking = asyncio.create_task(take())
            await done.wait()
            await _given_up(asking, steps)
        for steps in range(20):
            assert await _is_free(first, f"ended {steps} before"), steps
