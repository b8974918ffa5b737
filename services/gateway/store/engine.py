"""Connections to the database, SQLite or PostgreSQL, by URL alone."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, Final

from sqlalchemy import create_engine, event
from sqlalchemy.engine import URL, Connection, make_url
from sqlalchemy.exc import DataError, DBAPIError, IntegrityError, ProgrammingError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import StaticPool

from services.gateway.store.transact import AsyncTransactor, ThreadTransactor, Transactor

_BUSY_TIMEOUT_S: Final = 10
# Of each connection.  The system's own cache does the rest, and gives it back when others need the room.
_CACHE_KIB: Final = 8192
_READER_CACHE_KIB: Final = 1024
_READERS: Final = 4

# What a database that is gone, full or confused makes the libraries raise.
DATABASE_ERRORS: Final = (SQLAlchemyError, sqlite3.Error, OSError, TimeoutError)


class StoreUnavailableError(Exception):
    """The database cannot be reached, is full, or failed: nothing was changed, another try later may work."""


class StoreRefusedError(Exception):
    """The database would not take these data; it is well, and the same again will fare no better."""


@contextmanager
def translated() -> Iterator[None]:
    """Turns the database's errors into `StoreUnavailableError`."""
    try:
        yield
    except DATABASE_ERRORS as error:
        raise StoreUnavailableError(type(error).__name__) from error


def is_of_statement(error: BaseException) -> bool:
    """True if one statement of a batch is at fault (a conflict, bad data, a deadlock) and the database is well."""
    if not isinstance(error, DBAPIError) or error.connection_invalidated:
        return False
    return isinstance(error, IntegrityError | DataError | ProgrammingError) or is_retryable(error)


def is_retryable(error: BaseException) -> bool:
    """True if the database undid the transaction for another's sake, and asks to try again."""
    return isinstance(error, DBAPIError) and _state(error).startswith("40")


def _state(error: DBAPIError) -> str:
    return str(getattr(error.orig, "sqlstate", None) or "")


def is_sqlite(url: str) -> bool:
    """True if `url` is an SQLite file."""
    return make_url(url).get_backend_name() == "sqlite"


def transactor(url: str) -> Transactor:
    """What does transactions that change something.  On SQLite each takes the write lock at its start."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return AsyncTransactor(writing_engine(url))
    _make_directory(parsed)
    engine = create_engine(
        parsed.set(drivername="sqlite"), poolclass=StaticPool, connect_args={"check_same_thread": False}
    )
    event.listen(engine, "connect", _configure_sqlite)
    event.listen(engine, "begin", _begin_immediate)
    return ThreadTransactor(engine)


def writing_engine(url: str) -> AsyncEngine:
    """An engine for transactions on a shared database."""
    return create_async_engine(url, pool_size=4, max_overflow=4, pool_timeout=5, pool_pre_ping=True)


def reading_engine(url: str) -> AsyncEngine:
    """An engine for single statements that change nothing."""
    parsed = make_url(url)
    if parsed.get_backend_name() != "sqlite":
        return create_async_engine(
            parsed,
            pool_size=_READERS,
            pool_timeout=5,
            pool_pre_ping=True,
            pool_reset_on_return=None,
            isolation_level="AUTOCOMMIT",
        )
    engine = create_async_engine(
        parsed,
        pool_size=_READERS,
        max_overflow=0,
        pool_reset_on_return=None,
        connect_args={"timeout": _BUSY_TIMEOUT_S},
    )
    event.listen(engine.sync_engine, "connect", _configure_sqlite)
    event.listen(engine.sync_engine, "connect", _forbid_writes)
    return engine


def checkpointing_engine(url: str) -> AsyncEngine:
    """An engine for SQLite's own housekeeping."""
    engine = create_async_engine(url, pool_size=1, isolation_level="AUTOCOMMIT", pool_reset_on_return=None)
    event.listen(engine.sync_engine, "connect", _configure_sqlite)
    return engine


def _make_directory(url: URL) -> None:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)


def _pragmas(connection: Any, *statements: str) -> None:
    cursor = connection.cursor()
    for statement in statements:
        cursor.execute(f"PRAGMA {statement}")
    cursor.close()


def _configure_sqlite(connection: Any, _: Any) -> None:
    # The driver would begin transactions by itself, and too late; see _begin_immediate.
    connection.isolation_level = None
    _pragmas(
        connection,
        f"busy_timeout = {_BUSY_TIMEOUT_S * 1000}",
        "journal_mode = WAL",
        "synchronous = FULL",
        f"cache_size = -{_CACHE_KIB}",
        "wal_autocheckpoint = 0",  # see checkpoint.py
        "temp_store = MEMORY",
    )


def _forbid_writes(connection: Any, _: Any) -> None:
    _pragmas(connection, "query_only = ON", f"cache_size = -{_READER_CACHE_KIB}")


def _begin_immediate(connection: Connection) -> None:
    # A transaction that begins by reading and then wants to write can fail with "database is locked" at once,
    # whatever the timeout; one that takes the lock first waits its turn.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
