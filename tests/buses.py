"""A service's line to the broker, for the length of a block."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

from services.common.bus import Bus


@contextlib.asynccontextmanager
async def connected(url: str) -> AsyncIterator[Bus]:
    """A bus that runs and is connected to the broker at `url`."""
    bus = Bus(url, name="test")
    running = asyncio.create_task(bus.run())
    try:
        async with asyncio.timeout(30):
            await bus.wait_connected()
        yield bus
    finally:
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
