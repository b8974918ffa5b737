"""One piece of work, one transaction: on SQLite in a thread of its own, on PostgreSQL by its asyncio driver.

SQLite's asyncio driver passes every statement to its thread by itself; a transaction of a few statements then takes
a dozen turns between two threads, each of which waits for the other to be scheduled.  Here the whole transaction
takes one.
"""

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from sqlalchemy.engine import Connection, Engine
from sqlalchemy.ext.asyncio import AsyncEngine

T = TypeVar("T")


class Transactor(ABC):
    """Does work in transactions, one after the other."""

    @abstractmethod
    async def run(self, work: Callable[[Connection], T]) -> T:
        """What `work` gives, committed; where it raises, nothing was changed."""

    @abstractmethod
    async def close(self) -> None:
        """Let go of the database."""


class ThreadTransactor(Transactor):
    """On an engine that blocks, in a thread."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="database")

    async def run(self, work: Callable[[Connection], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._thread, self._transact, work)

    def _transact(self, work: Callable[[Connection], T]) -> T:
        with self._engine.begin() as conn:
            return work(conn)

    async def close(self) -> None:
        await asyncio.get_running_loop().run_in_executor(self._thread, self._engine.dispose)
        self._thread.shutdown()


class AsyncTransactor(Transactor):
    """On an asyncio engine."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def run(self, work: Callable[[Connection], T]) -> T:
        async with self._engine.begin() as conn:
            return await conn.run_sync(work)

    async def close(self) -> None:
        await self._engine.dispose()
