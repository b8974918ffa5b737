"""Shared by the gateway's unit tests: real SQLite files, made as the gateway makes them, and ready-made states."""

from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import orjson
from sqlalchemy import create_engine, event, select
from sqlalchemy.engine import Connection, Engine

from services.gateway.store.creation import NewJob, create_jobs
from services.gateway.store.engine import _begin_immediate, _configure_sqlite
from services.gateway.store.migrate import upgrade
from services.gateway.store.rows import JobState, blank, decode, encode
from services.gateway.store.schema import jobs, outbox
from services.gateway.store.writer import perform

EARLIER = "2026-11-24T22:00:00.000Z"
THEN = "2026-11-24T23:00:00.000Z"
LATER = "2026-11-24T23:00:05.000Z"


def make_engine(path: Path) -> Engine:
    path.write_bytes(_template())
    engine = create_engine(f"sqlite:///{path}")
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return engine


@cache
def _template() -> bytes:
    """An empty database of this version; the migrations take longer than most tests."""
    with TemporaryDirectory() as directory:
        path = Path(directory) / "jobs.db"
        engine = create_engine(f"sqlite:///{path}")
        with engine.begin() as conn:
            upgrade(conn)
        engine.dispose()
        return path.read_bytes()


def job(job_id: str = "job-1", **fields: Any) -> JobState:
    state = blank(
        job_id=job_id,
        tenant="default",
        status="QUEUED",
        filename="holiday.avi",
        input_path=f"uploads/{job_id}.avi",
        output_format="mp4",
        output_path=f"processed/{job_id}.mp4",
        seq=1,
        created_at=THEN,
        queued_at=THEN,
        updated_at=THEN,
    )
    return state | fields


def put(conn: Connection, *states: JobState) -> None:
    """Jobs as POST /jobs makes them, their messages sent already."""
    for state in states:
        perform(conn, create_jobs, NewJob(encode(state)))
    conn.execute(outbox.delete())


def get(conn: Connection, job_id: str = "job-1") -> JobState:
    return decode(conn.execute(select(jobs).where(jobs.c.job_id == job_id)).mappings().one())


def sent(conn: Connection) -> list[tuple[str, dict[str, Any]]]:
    """What is in the outbox: (exchange, message) in order."""
    rows = conn.execute(select(outbox.c.exchange, outbox.c.body).order_by(outbox.c.id))
    return [(exchange, orjson.loads(body)) for exchange, body in rows]
