"""The past of clients that were away for long, read again from the stream, a few at a time."""

import asyncio
from typing import Final

import anyio

from services.common.bus import BROKER_ERRORS, Bus
from services.common.logs import get_logger
from services.notifier.driver import Driver
from services.notifier.feed import read_stream
from services.notifier.outputs import Fetch

log = get_logger(__name__)

_AT_ONCE: Final = 4
_WAITING: Final = 256


class Replayer:
    """Carries out the hub's fetches.  A client whose turn does not come, or takes too long, gets a snapshot."""

    def __init__(self, bus: Bus, driver: Driver, *, timeout_s: float) -> None:
        self._bus = bus
        self._driver = driver
        self._timeout_s = timeout_s
        self._queue: asyncio.Queue[Fetch] = asyncio.Queue(_WAITING)
        driver.on_fetch(self._add)

    async def run(self) -> None:
        """Work until cancelled."""
        async with anyio.create_task_group() as tasks:
            for _ in range(_AT_ONCE):
                tasks.start_soon(self._work)

    def _add(self, fetch: Fetch) -> None:
        try:
            self._queue.put_nowait(fetch)
        except asyncio.QueueFull:
            log.warning("replay_refused", waiting=_WAITING)
            fetch.replay.failed = True
            # Not from within the hub's own outputs.
            asyncio.get_running_loop().call_soon(self._driver.fetched, fetch)

    async def _work(self) -> None:
        while True:
            fetch = await self._queue.get()
            if not fetch.connection.closed:
                await self._read(fetch)
            self._driver.fetched(fetch)

    async def _read(self, fetch: Fetch) -> None:
        try:
            enough = await read_stream(
                self._bus,
                max(0, fetch.replay.after.offset),
                lambda offset, body: self._driver.feed_replay(fetch, offset, body),
                timeout_s=self._timeout_s,
            )
        except BROKER_ERRORS as error:
            log.warning("replay_failed", error=repr(error))
            enough = False
        if not enough:
            fetch.replay.failed = True
