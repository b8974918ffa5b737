"""Jobs by their ids: what every poll asks for, and so made as short as each database allows."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

import aiosqlite
import orjson
from sqlalchemy import bindparam, select
from sqlalchemy.engine import Connection

from services.gateway.store.rows import API_FIELDS
from services.gateway.store.schema import jobs

Row = dict[str, Any]

_NAMES: Final = ("tenant", *API_FIELDS)
_SELECT: Final = select(*(jobs.c[name] for name in _NAMES)).where(
    jobs.c.job_id.in_(bindparam("ids", expanding=True)), jobs.c.deleted_at.is_(None)
)
# One parameter for any number of ids, so that there is one statement to prepare; and by the driver's own means, for
# the driver has a thread, and each call through it costs more than the statement.
_SQLITE: Final = (
    f"SELECT {', '.join(_NAMES)} FROM jobs"  # noqa: S608 -- names of columns
    " WHERE job_id IN (SELECT value FROM json_each(?)) AND deleted_at IS NULL"
)


def jobs_by_id(conn: Connection, ids: Sequence[str]) -> Mapping[str, Row]:
    """The rows of those `ids` that there are, whoever's they are."""
    rows = (dict(zip(_NAMES, row, strict=True)) for row in conn.execute(_SELECT, {"ids": list(ids)}))
    return {row["job_id"]: row for row in rows}


async def jobs_by_id_sqlite(connection: aiosqlite.Connection, ids: Sequence[str]) -> Mapping[str, Row]:
    """The same by SQLite's driver; raises its errors."""
    rows = await connection.execute_fetchall(_SQLITE, (orjson.dumps(ids).decode(),))
    return {row["job_id"]: row for row in (dict(zip(_NAMES, row, strict=True)) for row in rows)}
