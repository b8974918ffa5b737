"""Says in words how the gateway's database is, SQLite or PostgreSQL.

    docker exec api python /data/check_db.py

Exits with 0 if all is well, 1 if something wants attention, 2 if the database cannot be read.
"""

import asyncio
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import func, select, text
from sqlalchemy.engine import Connection, make_url

from services.common.jobs import Status
from services.common.settings import load_or_exit
from services.gateway.settings import GatewaySettings
from services.gateway.store import migrate
from services.gateway.store.engine import DATABASE_ERRORS, is_sqlite, reading_engine
from services.gateway.store.schema import dead_letters, jobs, outbox, uploads

_LONG_S: Final = 300.0
_TIME: Final = "%Y-%m-%dT%H:%M:%S.%fZ"


@dataclass(frozen=True, slots=True)
class State:
    """What was found.  Times as the database has them, None where there is nothing; `fault` from its own check."""

    revision: str | None
    newest_revision: str | None
    fault: str | None
    jobs: Mapping[str, int]
    oldest_queued: str | None
    outbox: int
    oldest_outbox: str | None
    dead_letters: int
    uploads: int


def read(conn: Connection, newest_revision: str | None) -> State:
    """Look at everything, changing nothing."""
    alive = jobs.c.deleted_at.is_(None)
    counts = conn.execute(select(jobs.c.status, func.count()).where(alive).group_by(jobs.c.status)).all()
    return State(
        revision=MigrationContext.configure(conn).get_current_revision(),
        newest_revision=newest_revision,
        fault=_sqlite_fault(conn) if conn.dialect.name == "sqlite" else None,
        jobs={str(status): int(count) for status, count in counts},
        oldest_queued=conn.scalar(select(func.min(jobs.c.queued_at)).where(alive, jobs.c.status == Status.QUEUED)),
        outbox=conn.scalar(select(func.count()).select_from(outbox)) or 0,
        oldest_outbox=conn.scalar(select(func.min(outbox.c.created_at))),
        dead_letters=conn.scalar(
            select(func.count()).select_from(dead_letters).where(dead_letters.c.redriven_at.is_(None))
        )
        or 0,
        uploads=conn.scalar(select(func.count()).select_from(uploads)) or 0,
    )


def describe(where: str, state: State, now: datetime) -> tuple[list[str], bool]:
    """Sentences about `state`, and whether all is well."""
    concerns = []
    if state.fault:
        concerns.append(f"Its own check found damage: {state.fault}. Restore it from a backup.")
    if state.revision != state.newest_revision:
        concerns.append(
            f"Its schema is at version {state.revision or 'none'}, this program's at {state.newest_revision}: "
            "the gateway brings it up to date at its next start."
        )
    if state.oldest_outbox and _age_s(state.oldest_outbox, now) > _LONG_S:
        concerns.append(
            f"The oldest unsent message has waited for {_words(_age_s(state.oldest_outbox, now))}: "
            "is the broker reachable?"
        )
    if state.dead_letters:
        concerns.append(f"{_count(state.dead_letters, 'dead letter')} not looked at yet.")
    total = sum(state.jobs.values())
    parts = ", ".join(f"{state.jobs.get(status, 0)} {status}" for status in Status)
    lines = [
        f"Database: {where}.",
        f"Schema version: {state.revision or 'none'}.",
        f"Jobs: {total} in all ({parts}).",
    ]
    if state.oldest_queued:
        lines.append(f"The oldest waiting job has waited for {_words(_age_s(state.oldest_queued, now))}.")
    lines.append(
        f"{_count(state.outbox, 'message')} waiting to be sent."
        if state.outbox
        else "Every message has been handed to the broker."
    )
    lines.append(f"{_count(state.uploads, 'upload')} begun and not yet made into a job.")
    lines += concerns or ["All is well."]
    return lines, not concerns


def place(url: str) -> str:
    """Where the database is, without its password."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        path = Path(parsed.database or "")
        return f"SQLite at {path} ({path.stat().st_size / 1e6:.1f} MB)" if path.exists() else f"SQLite at {path}"
    return f"PostgreSQL, {parsed.database} at {parsed.host}:{parsed.port or 5432}"


async def check(url: str) -> int:
    """Print the state of the database at `url`; the exit status."""
    if _missing(url):
        print(f"Database: {place(url)}.\nThere is no database yet: the gateway makes it at its first start.")
        return 2
    engine = reading_engine(url)
    newest = ScriptDirectory.from_config(_alembic()).get_current_head()
    try:
        async with engine.connect() as conn:
            state = await conn.run_sync(read, newest)
    except DATABASE_ERRORS as error:
        print(f"Database: {place(url)}.\nIt cannot be read ({type(error).__name__}). {_advice(url)}")
        return 2
    finally:
        await engine.dispose()
    lines, well = describe(place(url), state, datetime.now(UTC))
    print("\n".join(lines))
    return 0 if well else 1


def _missing(url: str) -> bool:
    # Opening it would make an empty one.
    return is_sqlite(url) and not Path(make_url(url).database or "").exists()


def _advice(url: str) -> str:
    if is_sqlite(url):
        return "Is the gateway's volume mounted, and has the gateway been started once?"
    return "Is the server running, and are name and password in DATABASE_URL right?"


def _alembic() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(migrate.__file__).with_name("migrations")).replace("%", "%%"))
    return config


def _sqlite_fault(conn: Connection) -> str | None:
    answer = str(conn.scalar(text("PRAGMA quick_check(1)")))
    return None if answer == "ok" else answer


def _age_s(time: str, now: datetime) -> float:
    return (now - datetime.strptime(time, _TIME).replace(tzinfo=UTC)).total_seconds()


def _words(seconds: float) -> str:
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= 2 * length:
            return _count(int(seconds // length), unit)
    return _count(max(0, int(seconds)), "second")


def _count(number: int, thing: str) -> str:
    return f"{number} {thing}" if number == 1 else f"{number} {thing}s"


if __name__ == "__main__":
    sys.exit(asyncio.run(check(load_or_exit(GatewaySettings).database)))
