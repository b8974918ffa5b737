"""The store on real SQLite files: grouped writes, shared reads, migrations."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from sqlalchemy import create_engine, func, insert, select, text
from sqlalchemy.engine import Connection

from services.gateway.store.creation import NewJob, create_jobs
from services.gateway.store.engine import StoreRefusedError, StoreUnavailableError
from services.gateway.store.migrate import upgrade
from services.gateway.store.reads import (
    BadCursorError,
    Page,
    backlog,
    count_queued,
    decode_cursor,
    list_jobs,
)
from services.gateway.store.rows import encode
from services.gateway.store.schema import jobs, metadata
from services.gateway.store.sharing import SharedReads
from services.gateway.store.store import Store
from services.gateway.store.writer import Transaction
from tests.unit.gateway.gateway_rows import EARLIER, LATER, THEN, job


@asynccontextmanager
async def opened(path: Path) -> AsyncIterator[Store]:
    async with Store(f"sqlite+aiosqlite:///{path}") as store:
        writing = asyncio.create_task(store.run())
        try:
            yield store
        finally:
            writing.cancel()
            with suppress(asyncio.CancelledError):
                await writing


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with opened(tmp_path / "jobs.db") as made:
        yield made


def new(job_id: str, **fields: Any) -> Any:
    state = job(job_id, **fields)
    return NewJob(encode(state))


def count(conn: Connection) -> Any:
    return conn.execute(select(func.count()).select_from(jobs)).scalar_one()


async def test_200_parallel_writers_share_few_transactions(store: Store) -> None:
    commits = []
    store.on_commit(commits.append)
    await asyncio.gather(*(store.write(create_jobs, new(f"job-{n}")) for n in range(200)))
    assert await store.read(count) == 200
    assert len(commits) < 10
    assert all(commit.messages for commit in commits)


async def test_a_second_process_on_the_same_file_waits_its_turn(tmp_path: Path) -> None:
    async with opened(tmp_path / "jobs.db") as one, opened(tmp_path / "jobs.db") as two:
        await asyncio.gather(
            *(
                store.write(create_jobs, new(f"{name}-{n}"))
                for n in range(100)
                for name, store in (("a", one), ("b", two))
            )
        )
        assert await one.read(count) == 200


async def test_one_that_is_refused_does_not_take_the_others_along(store: Store) -> None:
    await store.write(create_jobs, new("job-1"))
    results = await asyncio.gather(
        *(store.write(create_jobs, new(f"job-{n}")) for n in range(5)), return_exceptions=True
    )
    assert [type(result) for result in results].count(StoreRefusedError) == 1
    assert isinstance(results[1], StoreRefusedError)
    assert await store.read(count) == 5


async def test_an_operation_with_a_mistake_in_it_fails_alone(store: Store) -> None:
    def broken(tx: Transaction, items: Any) -> Any:
        raise ZeroDivisionError

    good, bad = await asyncio.gather(
        store.write(create_jobs, new("job-1")), store.write(broken, None), return_exceptions=True
    )
    assert isinstance(bad, ZeroDivisionError)
    assert not isinstance(good, Exception)
    assert await store.read(count) == 1


async def test_a_disk_that_is_full_is_said_to_all_and_nothing_is_half_done(store: Store) -> None:
    def fill(tx: Transaction, items: Any) -> Any:
        pages = tx.conn.execute(text("PRAGMA page_count")).scalar_one()
        tx.conn.execute(text(f"PRAGMA max_page_count = {pages}"))
        return [None] * len(items)

    await store.write(fill, None)
    big = {"filler": "x" * 5000}
    results = await asyncio.gather(
        *(store.write(create_jobs, new(f"job-{n}", options=big)) for n in range(50)), return_exceptions=True
    )
    assert all(isinstance(result, StoreUnavailableError) for result in results)
    assert await store.read(count) == 0


async def test_what_waits_when_the_writer_is_stopped_is_still_written(tmp_path: Path) -> None:
    async with Store(f"sqlite+aiosqlite:///{tmp_path / 'jobs.db'}") as store:
        writing = asyncio.create_task(store.run())
        answers = [asyncio.create_task(store.write(create_jobs, new(f"job-{n}"))) for n in range(20)]
        await asyncio.sleep(0)
        writing.cancel()
        with suppress(asyncio.CancelledError):
            await writing
        await asyncio.gather(*answers)
        assert await store.read(count) == 20
        with pytest.raises(StoreUnavailableError):
            await store.write(create_jobs, new("too-late"))


async def test_a_patient_write_goes_along_with_the_next_one(store: Store) -> None:
    commits = []
    store.on_commit(commits.append)
    patient = asyncio.create_task(store.write(create_jobs, new("job-1"), patient=True))
    await asyncio.sleep(0)
    await store.write(create_jobs, new("job-2"))
    await patient
    assert len(commits) == 1


async def test_a_patient_write_does_not_wait_for_ever(store: Store) -> None:
    await store.write(create_jobs, new("job-1"), patient=True)
    assert await store.read(count) == 1


async def test_readers_cannot_write(store: Store) -> None:
    def write(conn: Connection) -> Any:
        conn.execute(insert(jobs), encode(job()))

    with pytest.raises(StoreUnavailableError):
        await store.read(write)


async def test_a_read_sees_what_was_written_before_it(store: Store) -> None:
    for n in range(20):
        await store.write(create_jobs, new(f"job-{n}"))
        row = await store.job(f"job-{n}")
        assert row is not None
        assert row["status"] == "QUEUED"
    assert await store.job("nobody") is None


async def test_reads_at_the_same_time_share_a_statement() -> None:
    asked = []
    release = asyncio.Event()

    async def query(keys: Any) -> Any:
        asked.append(list(keys))
        await release.wait()
        return {key: key.upper() for key in keys if key != "x"}

    shared = SharedReads(query)
    first = asyncio.create_task(shared.get("a"))
    await asyncio.sleep(0)
    await asyncio.sleep(0)
    rest = [asyncio.create_task(shared.get(key)) for key in ("b", "a", "x", "b")]
    await asyncio.sleep(0)
    release.set()
    assert await first == "A"
    assert await asyncio.gather(*rest) == ["B", "A", None, "B"]
    # The second to ask for "a" came after the first statement had begun, so it is not answered by that one.
    assert asked == [["a"], ["b", "a", "x"]]


async def test_a_failing_statement_fails_those_who_shared_it_and_no_others() -> None:
    failing = True

    async def query(keys: Any) -> Any:
        if failing:
            raise StoreUnavailableError
        return dict.fromkeys(keys, 1)

    shared = SharedReads(query)
    results = await asyncio.gather(shared.get("a"), shared.get("b"), return_exceptions=True)
    assert all(isinstance(result, StoreUnavailableError) for result in results)
    failing = False
    assert await shared.get("a") == 1


async def test_the_list_is_newest_first_in_parts_without_gaps(store: Store) -> None:
    moments = [EARLIER, THEN, THEN, THEN, LATER]
    for n, moment in enumerate(moments):
        await store.write(create_jobs, new(f"job-{n}", created_at=moment))
    await store.write(create_jobs, new("theirs", tenant="acme"))
    seen, cursor = [], None
    while True:
        rows, cursor = await store.read(list_jobs, Page("default", None, 2, cursor))
        seen += [row["job_id"] for row in rows]
        if cursor is None:
            break
    assert seen == ["job-4", "job-3", "job-2", "job-1", "job-0"]
    assert (await store.read(list_jobs, Page("default", "FAILED", 2, None)))[0] == []


@pytest.mark.parametrize("cursor", ["", "x", "é", "bnVsbA", "WzEsMl0", "WyJcdTAwMDAiLCJhIl0", "=" * 99])
def test_a_cursor_that_was_not_given_out_is_refused(cursor: str) -> None:
    with pytest.raises(BadCursorError):
        decode_cursor(cursor)


async def test_counts(store: Store) -> None:
    for n in range(3):
        await store.write(create_jobs, new(f"job-{n}", queued_at=EARLIER if n else THEN))
    assert await store.read(count_queued, "default", 2) == 2
    assert await store.read(count_queued, "acme", 2) == 0
    waiting = await store.read(backlog)
    assert (waiting.depth, waiting.oldest, waiting.outbox) == (3, EARLIER, 6)


ADDED_SINCE = {"deleted_at", "origin"}  # to the jobs of the first version


def test_migrations_lead_from_the_first_version_to_the_schema(tmp_path: Path) -> None:
    engine = create_engine(f"sqlite:///{tmp_path / 'jobs.db'}")
    with engine.begin() as conn:
        upgrade(conn, "0001")
        row = {name: value for name, value in encode(job()).items() if name not in ADDED_SINCE}
        columns = ", ".join(row)
        values = ", ".join(f":{name}" for name in row)
        conn.execute(text(f"INSERT INTO jobs ({columns}) VALUES ({values})"), row)
    with engine.begin() as conn:
        upgrade(conn)
        upgrade(conn)
        assert compare_metadata(MigrationContext.configure(conn), metadata) == []
        assert conn.execute(select(jobs.c.job_id, jobs.c.deleted_at, jobs.c.origin)).all() == [("job-1", None, None)]
    engine.dispose()
