"""What is asked of the database without changing it.  Each function works on a connection of its caller's."""

import base64
import binascii
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import orjson
from sqlalchemy import func, select, tuple_
from sqlalchemy.engine import Connection, RowMapping

from services.common.jobs import Status
from services.gateway.store.rows import API_FIELDS
from services.gateway.store.schema import api_keys, dead_letters, jobs, outbox, uploads

_SHOWN: Final = [jobs.c[name] for name in ("tenant", *API_FIELDS)]


class BadCursorError(ValueError):
    """The cursor is not one that was given out."""


@dataclass(frozen=True, slots=True)
class Page:
    """What part of a tenant's list is asked for: `cursor` is the one that came with the part before."""

    tenant: str
    status: Status | None
    limit: int
    cursor: str | None


def encode_cursor(created_at: str, job_id: str) -> str:
    """An opaque mark in a tenant's list, after the job given."""
    return base64.urlsafe_b64encode(orjson.dumps([created_at, job_id])).rstrip(b"=").decode()


def decode_cursor(cursor: str) -> tuple[str, str]:
    """The creation time and id in a cursor.

    Raises:
        BadCursorError: it is not one of ours.
    """
    try:
        padded = cursor.encode("ascii") + b"=" * (-len(cursor) % 4)
        created_at, job_id = orjson.loads(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (ValueError, TypeError, binascii.Error) as error:
        raise BadCursorError from error
    if not (isinstance(created_at, str) and isinstance(job_id, str)) or "\0" in created_at + job_id:
        raise BadCursorError
    return created_at, job_id


def list_jobs(conn: Connection, page: Page) -> tuple[Sequence[RowMapping], str | None]:
    """One part of a tenant's jobs, newest first, and the cursor of the next part if there is one."""
    query = select(*_SHOWN).where(jobs.c.tenant == page.tenant, jobs.c.deleted_at.is_(None))
    if page.status is not None:
        query = query.where(jobs.c.status == page.status)
    if page.cursor is not None:
        query = query.where(tuple_(jobs.c.created_at, jobs.c.job_id) < tuple_(*decode_cursor(page.cursor)))
    query = query.order_by(jobs.c.created_at.desc(), jobs.c.job_id.desc()).limit(page.limit + 1)
    rows = conn.execute(query).mappings().all()
    if len(rows) <= page.limit:
        return rows, None
    last = rows[page.limit - 1]
    return rows[: page.limit], encode_cursor(last["created_at"], last["job_id"])


def count_queued(conn: Connection, tenant: str, limit: int) -> int:
    """How many jobs of `tenant` wait, counted no further than `limit`."""
    some = (
        select(jobs.c.job_id)
        .where(jobs.c.tenant == tenant, jobs.c.status == Status.QUEUED, jobs.c.deleted_at.is_(None))
        .limit(limit)
    )
    return int(conn.execute(select(func.count()).select_from(some.subquery())).scalar_one())


def count_uploads(conn: Connection, tenant: str, limit: int) -> int:
    """How many uploads of `tenant` have not become a job, counted no further than `limit`."""
    some = select(uploads.c.key).where(uploads.c.tenant == tenant).limit(limit)
    return int(conn.execute(select(func.count()).select_from(some.subquery())).scalar_one())


@dataclass(frozen=True, slots=True)
class Backlog:
    """How much waits: `depth` jobs, the oldest since `oldest`; `outbox` messages, the oldest since `outbox_oldest`."""

    depth: int
    oldest: str | None
    outbox: int
    outbox_oldest: str | None


def backlog(conn: Connection) -> Backlog:
    """How much waits for transcoders and for the broker."""
    waiting = select(func.count(), func.min(jobs.c.queued_at)).where(jobs.c.status == Status.QUEUED)
    depth, oldest = conn.execute(waiting).one()
    unsent = select(func.count(), func.min(outbox.c.created_at))
    messages, outbox_oldest = conn.execute(unsent).one()
    return Backlog(depth, oldest, messages, outbox_oldest)


def api_key(conn: Connection, key_id: str) -> RowMapping | None:
    """The key called `key_id`, revoked ones too."""
    return conn.execute(select(api_keys).where(api_keys.c.key_id == key_id)).mappings().first()


def list_dead(conn: Connection, tenant: str, limit: int, before: int | None) -> Sequence[RowMapping]:
    """Dead letters of `tenant`, newest first, those numbered below `before`."""
    query = select(dead_letters).where(dead_letters.c.tenant == tenant)
    if before is not None:
        query = query.where(dead_letters.c.id < before)
    return conn.execute(query.order_by(dead_letters.c.id.desc()).limit(limit)).mappings().all()


def ping(conn: Connection) -> None:
    """Raise unless the database answers."""
    conn.execute(select(1))
