"""Our notifier with a broker of its own, on free ports in a temporary directory."""

import asyncio
import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from services.common.bus import Bus
from tests.stack import Stack, make_stack


@asynccontextmanager
async def running_notifier() -> AsyncIterator[tuple[Stack, Bus]]:
    """A stack whose notifier is ready, and a line to its broker."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        async with make_stack(Path(directory)) as stack:
            await stack.start("epmd")
            await stack.start("rabbitmq")
            await stack.start("notifier")
            bus = Bus(stack.amqp_url, name="bench")
            running = asyncio.create_task(bus.run())
            try:
                await bus.wait_connected()
                yield stack, bus
            finally:
                running.cancel()
                await asyncio.gather(running, return_exceptions=True)
