"""The database as the rest of the gateway sees it: submit changes, ask questions, claim tasks."""

from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Concatenate, Final, ParamSpec, Self, TypeVar

import aiosqlite
import anyio
from sqlalchemy import select
from sqlalchemy.engine import Connection
from sqlalchemy.ext.asyncio import AsyncEngine

from services.gateway.store.checkpoint import keep_log_short
from services.gateway.store.engine import is_sqlite, reading_engine, transactor, translated, writing_engine
from services.gateway.store.lookup import Row, jobs_by_id, jobs_by_id_sqlite
from services.gateway.store.migrate import upgrade
from services.gateway.store.schema import claims
from services.gateway.store.sharing import SharedReads
from services.gateway.store.writer import Committed, Operation, Writer

P = ParamSpec("P")
T = TypeVar("T")
Item = TypeVar("Item")
Result = TypeVar("Result")


class Store:
    """The one owner of the database.  An async context manager; `run` must be running for writes to happen."""

    def __init__(self, url: str) -> None:
        self._url = url
        self.shared: Final = not is_sqlite(url)  # with other gateways
        self._transactor = transactor(url)
        self._claiming: AsyncEngine | None = writing_engine(url) if self.shared else None
        self._reading: AsyncEngine = reading_engine(url)
        self._listeners: list[Callable[[Committed], None]] = []
        self._writer = Writer(self._transactor, self._committed)
        self._jobs: SharedReads[str, Row] = SharedReads(self._find_jobs)
        self._open = AsyncExitStack()
        self._quick: aiosqlite.Connection | None = None

    async def __aenter__(self) -> Self:
        with translated():
            await self._transactor.run(upgrade)
        if not self.shared:
            with translated():
                conn = await self._open.enter_async_context(self._reading.connect())
                self._quick = (await conn.get_raw_connection()).driver_connection
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._open.aclose()
        await self._transactor.close()
        if self._claiming is not None:
            await self._claiming.dispose()
        await self._reading.dispose()

    def on_commit(self, listener: Callable[[Committed], None]) -> None:
        """Have `listener` called after every commit."""
        self._listeners.append(listener)

    async def run(self) -> None:
        """Write until cancelled."""
        async with anyio.create_task_group() as tasks:
            if not self.shared:
                tasks.start_soon(keep_log_short, self._url)
            await self._writer.run()

    async def write(self, operation: Operation[Item, Result], item: Item, *, patient: bool = False) -> Result:
        """Do `operation` on `item`; returns when it is on disk, which may take a moment longer if `patient`.

        Raises:
            StoreUnavailableError: nothing was changed.
            Exception: what the operation gave as this item's result.
        """
        return await self._writer.submit(operation, item, patient=patient)

    async def read(self, query: Callable[Concatenate[Connection, P], T], *args: P.args, **kwargs: P.kwargs) -> T:
        """The answer of `query` on a connection that cannot change anything.

        Raises:
            StoreUnavailableError: there was none.
        """
        with translated():
            async with self._reading.connect() as conn:
                return await conn.run_sync(query, *args, **kwargs)

    async def job(self, job_id: str) -> Row | None:
        """The row of a job; those who ask at the same time share one statement."""
        return await self._jobs.get(job_id)

    @asynccontextmanager
    async def claim(self, name: str) -> AsyncIterator[bool]:
        """Whether the task `name` is ours alone for as long as the block lasts.

        On a database of our own it always is.  On a shared one a row is locked, or skipped if another gateway
        has locked it; the lock goes when the block ends, or when this process does.
        """
        if self._claiming is None:
            yield True
            return
        query = select(claims.c.name).where(claims.c.name == name).with_for_update(skip_locked=True)
        held = AsyncExitStack()
        try:
            with translated():
                conn = await held.enter_async_context(self._claiming.connect())
                await held.enter_async_context(conn.begin())
                row = (await conn.execute(query)).first()
            yield row is not None
        finally:
            with translated():
                await held.aclose()

    async def _find_jobs(self, ids: Sequence[str]) -> Mapping[str, Row]:
        if self._quick is None:
            return await self.read(jobs_by_id, ids)
        with translated():
            return await jobs_by_id_sqlite(self._quick, ids)

    def _committed(self, commit: Committed) -> None:
        for listener in self._listeners:
            listener(commit)
