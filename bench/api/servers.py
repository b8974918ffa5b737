"""Both servers, each with what it needs, and a job in each."""

import asyncio
import contextlib
import sqlite3
import sys
import tempfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import orjson

from bench.push.ports import free_port
from services.common.jobs import now, timestamp
from services.common.settings import CommonSettings
from services.common.storage import Storage
from tests.stack import Stack, eventually, make_stack

INPUT = "uploads/00000000-0000-4000-8000-000000000000.avi"
JOB = orjson.dumps({"input_path": INPUT, "output_format": "mp4"})


@dataclass(frozen=True)
class Server:
    """Where it listens, its process, and a job that it knows."""

    port: int
    pid: int
    job_id: str


@contextlib.asynccontextmanager
async def machine() -> AsyncIterator[Stack]:
    """A broker and a store, and the object that all jobs are about."""
    with tempfile.TemporaryDirectory(prefix="bench-api-") as directory:
        async with make_stack(Path(directory)) as stack:
            await stack.start("epmd")
            await stack.start("rabbitmq", "s3")
            settings = CommonSettings(
                s3_endpoint=stack.s3.endpoint, s3_access_key=stack.s3.access_key, s3_secret_key=stack.s3.secret_key
            )
            async with Storage(settings) as storage:
                await storage.ensure_bucket()
                await storage.put(INPUT, b"a video", "video/x-msvideo")
            yield stack


async def submit(port: int) -> str:
    """Make one job; its id."""
    async with (
        aiohttp.ClientSession() as session,
        session.post(f"http://127.0.0.1:{port}/jobs", data=JOB, headers={"Content-Type": "application/json"}) as answer,
    ):
        answer.raise_for_status()
        return str((await answer.json())["job_id"])


@contextlib.asynccontextmanager
async def ours(stack: Stack, *, jobs: int = 0) -> AsyncIterator[Server]:
    """Our gateway, with so many finished jobs in its table."""
    await stack.start("gateway")
    if jobs:
        await stack.stop("gateway")
        await asyncio.to_thread(_fill, stack.data_dir / "jobs.db", jobs)
        await stack.start("gateway")
    try:
        port = stack.settings.gateway_port
        yield Server(port, stack.pid("gateway"), await submit(port))
        await eventually(lambda: _outbox_empty(stack.data_dir / "jobs.db"), timeout=300, every=0.5)
    finally:
        await stack.stop("gateway")


def _fill(path: Path, jobs: int) -> None:
    moment = timestamp(now())
    row = ("default", "COMPLETED", INPUT, "mp4", "processed/x.mp4", moment, moment, moment, moment)
    with contextlib.closing(sqlite3.connect(path)) as database, database:
        database.executemany(
            "INSERT INTO jobs (job_id, tenant, status, input_path, output_format, output_path, created_at, queued_at,"
            " finished_at, updated_at) VALUES (lower(hex(randomblob(16))), ?, ?, ?, ?, ?, ?, ?, ?, ?)",
            [row] * jobs,
        )


def _outbox_empty(path: Path) -> bool:
    with contextlib.closing(sqlite3.connect(path)) as database:
        return bool(database.execute("SELECT NOT EXISTS (SELECT 1 FROM outbox)").fetchone()[0])


@contextlib.asynccontextmanager
async def seed(stack: Stack) -> AsyncIterator[Server]:
    """The seed design's API, under uvicorn with uvloop and httptools."""
    port = free_port()
    environment = stack.env | {"DATABASE": str(stack.data_dir / "seed.db")}
    command = [sys.executable, "-m", "uvicorn", "bench.seed.api:app", "--port", str(port)]
    process = await asyncio.create_subprocess_exec(*command, "--log-level", "error", "--no-access-log", env=environment)
    try:
        await eventually(lambda: _listens(port))
        yield Server(port, process.pid, await submit(port))
    finally:
        process.terminate()
        await process.wait()


async def _listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    return True
