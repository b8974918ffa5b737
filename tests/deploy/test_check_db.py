"""`docker exec api python /data/check_db.py`: the state of the database in words, for SQLite and PostgreSQL."""

import os
import sqlite3
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import anyio
import pytest
import pytest_asyncio
from sqlalchemy import insert
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

from deploy.docker.check_db import State, describe, place
from services.common.jobs import timestamp
from services.gateway.store.migrate import upgrade
from services.gateway.store.schema import dead_letters, jobs, outbox
from tests.integration.gateway_world import running_postgres

ROOT = Path(__file__).resolve().parents[2]
NOW = datetime(2026, 11, 24, 23, 0, tzinfo=UTC)
WELL = State(
    revision="0002",
    newest_revision="0002",
    fault=None,
    jobs={"QUEUED": 2, "COMPLETED": 40},
    oldest_queued=timestamp(NOW - timedelta(minutes=3)),
    outbox=0,
    oldest_outbox=None,
    dead_letters=0,
    uploads=1,
)


def test_a_healthy_database_in_words():
    lines, well = describe("SQLite at /data/jobs.db (1.2 MB)", WELL, NOW)
    assert well
    assert lines == [
        "Database: SQLite at /data/jobs.db (1.2 MB).",
        "Schema version: 0002.",
        "Jobs: 42 in all (2 QUEUED, 0 PROCESSING, 40 COMPLETED, 0 FAILED, 0 CANCELLED).",
        "The oldest waiting job has waited for 3 minutes.",
        "Every message has been handed to the broker.",
        "1 upload begun and not yet made into a job.",
        "All is well.",
    ]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"fault": "row 7 missing from index"}, "Restore it from a backup"),
        ({"revision": "0001"}, "Its schema is at version 0001"),
        ({"outbox": 5, "oldest_outbox": timestamp(NOW - timedelta(hours=3))}, "has waited for 3 hours"),
        ({"dead_letters": 2}, "2 dead letters not looked at yet"),
    ],
)
def test_what_wants_attention_is_said(change: dict[str, object], said: str):
    lines, well = describe("it", replace(WELL, **change), NOW)  # type: ignore[arg-type]
    assert not well
    assert said in lines[-1]
    assert "All is well." not in lines


def test_messages_that_have_just_come_are_no_concern():
    fresh = replace(WELL, outbox=5, oldest_outbox=timestamp(NOW - timedelta(seconds=1)))
    lines, well = describe("it", fresh, NOW)
    assert well
    assert "5 messages waiting to be sent." in lines


def test_the_password_stays_out_of_it():
    assert place("postgresql+asyncpg://me:secret@db.example.org/video") == "PostgreSQL, video at db.example.org:5432"


@pytest_asyncio.fixture(params=["sqlite", "postgresql"])
async def database(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[str]:
    if request.param == "sqlite":
        yield f"sqlite:///{tmp_path / 'jobs.db'}"
        return
    async with running_postgres() as postgres:
        yield await postgres.create("checked")


async def migrated(url: str) -> AsyncEngine:
    """The database at `url` as a gateway makes it."""
    scheme, rest = url.split(":", 1)
    driver = {"sqlite": "aiosqlite", "postgresql": "asyncpg"}[scheme]
    engine = create_async_engine(f"{scheme}+{driver}:{rest}")
    async with engine.begin() as conn:
        await conn.run_sync(upgrade)
    return engine


async def run(url: str) -> tuple[int, str]:
    """The script as it is run in the container: by its path, told by the environment alone."""
    env = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT), "DATABASE_URL": url}
    command = [sys.executable, str(ROOT / "deploy/docker/check_db.py")]
    done = await anyio.run_process(command, env=env, check=False)
    assert not done.stderr, done.stderr.decode()
    return done.returncode, done.stdout.decode()


async def test_the_script_on_a_real_database(database: str):
    engine = await migrated(database)
    code, said = await run(database)
    assert code == 0, said
    assert "Jobs: 0 in all" in said
    assert said.endswith("All is well.\n")

    long_ago = "2026-01-01T00:00:00.000Z"
    job = {
        "tenant": "default",
        "input_path": "uploads/a.avi",
        "output_format": "mp4",
        "output_path": "processed/a.mp4",
        "created_at": long_ago,
        "queued_at": long_ago,
        "updated_at": long_ago,
    }
    message = {"exchange": "video.jobs", "routing_key": "job.requested.mp4", "body": b"{}", "created_at": long_ago}
    dead = {"reason": "rejected", "routing_key": "x", "body": b"{", "created_at": long_ago}
    async with engine.begin() as conn:
        await conn.execute(insert(jobs), [{**job, "job_id": f"j{n}", "status": "QUEUED"} for n in range(3)])
        await conn.execute(insert(jobs), {**job, "job_id": "gone", "status": "FAILED", "deleted_at": long_ago})
        await conn.execute(insert(outbox), message)
        await conn.execute(insert(dead_letters), dead)
    await engine.dispose()
    code, said = await run(database)
    assert code == 1
    assert "Jobs: 3 in all (3 QUEUED, 0 PROCESSING, 0 COMPLETED, 0 FAILED, 0 CANCELLED)." in said
    assert "1 message waiting to be sent." in said
    assert "is the broker reachable?" in said
    assert "1 dead letter not looked at yet." in said


async def test_it_makes_no_database_of_its_own(tmp_path: Path):
    code, said = await run(f"sqlite:///{tmp_path / 'jobs.db'}")
    assert code == 2
    assert "There is no database yet" in said
    assert not (tmp_path / "jobs.db").exists()


async def test_a_file_that_is_no_database(tmp_path: Path):
    (tmp_path / "jobs.db").write_text("hello" * 1000)
    code, said = await run(f"sqlite:///{tmp_path / 'jobs.db'}")
    assert code == 2
    assert "It cannot be read" in said


async def test_damage_is_found(tmp_path: Path):
    path = tmp_path / "jobs.db"
    engine = await migrated(f"sqlite:///{path}")
    await engine.dispose()
    with closing(sqlite3.connect(path)) as conn:
        ((root,),) = conn.execute("SELECT rootpage FROM sqlite_master WHERE name = 'jobs_by_input'")
        ((size,),) = conn.execute("PRAGMA page_size")
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    with path.open("r+b") as file:
        file.seek((root - 1) * size)
        file.write(b"\xff" * size)
    code, said = await run(f"sqlite:///{path}")
    assert code in (1, 2), said
    assert "Restore it from a backup" in said or "It cannot be read" in said
