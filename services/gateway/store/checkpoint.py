"""Working SQLite's log into the database beside the writer, not in the middle of somebody's commit.

SQLite would do it by itself, whenever the log has grown by so much, and all who wait for that commit would wait for
thousands of pages to be copied and flushed.
"""

import asyncio
from pathlib import Path
from typing import Final

from sqlalchemy import text
from sqlalchemy.engine import make_url
from sqlalchemy.ext.asyncio import AsyncEngine

from services.common.logs import get_logger
from services.gateway.store.engine import DATABASE_ERRORS, checkpointing_engine

log = get_logger(__name__)

_EVERY_S: Final = 1.0
_WORTH_IT: Final = 4 << 20
# Under load without a pause the log is never used up whole, and so never begun anew.  At this size writers are made
# to wait for that.
_TOO_LARGE: Final = 512 << 20


async def keep_log_short(url: str) -> None:
    """Look after the log of the SQLite file at `url` until cancelled."""
    log_file = Path(f"{make_url(url).database}-wal")
    engine = checkpointing_engine(url)
    try:
        while True:
            await asyncio.sleep(_EVERY_S)
            size = await asyncio.to_thread(_size, log_file)
            if size > _WORTH_IT:
                await _checkpoint(engine, "RESTART" if size > _TOO_LARGE else "PASSIVE")
    finally:
        await engine.dispose()


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


async def _checkpoint(engine: AsyncEngine, mode: str) -> None:
    try:
        async with engine.connect() as conn:
            await conn.execute(text(f"PRAGMA wal_checkpoint({mode})"))
    except DATABASE_ERRORS as error:
        log.warning("checkpoint_failed", error=repr(error))
