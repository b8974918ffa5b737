"""What is too old: asked for by age, and forgotten."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import delete, or_, select
from sqlalchemy.engine import Connection

from services.common.jobs import TERMINAL
from services.gateway.store.schema import dead_letters, idempotency, jobs, uploads
from services.gateway.store.writer import Transaction


@dataclass(frozen=True, slots=True)
class Ages:
    """Moments before which things are too old, as the rows have them."""

    idempotency: str
    uploads: str
    deleted: str
    dead: str


def in_use(conn: Connection, keys: Sequence[str], finished_before: str) -> set[str]:
    """Those of the uploads `keys` that a job needs: one that has not ended, or not before `finished_before`."""
    query = select(jobs.c.input_path).where(
        jobs.c.input_path.in_(keys),
        jobs.c.deleted_at.is_(None),
        or_(jobs.c.status.not_in(TERMINAL), jobs.c.finished_at >= finished_before),
    )
    return set(conn.execute(query.distinct()).scalars())


def stale_multiparts(conn: Connection, before: str) -> list[tuple[str, str]]:
    """Key and id of the uploads in parts that were begun before `before` and are no job yet, completed ones too."""
    query = select(uploads.c.key, uploads.c.upload_id).where(
        uploads.c.upload_id.is_not(None), uploads.c.created_at < before
    )
    return [(key, upload_id) for key, upload_id in conn.execute(query)]


def forget_old(tx: Transaction, items: Sequence[Ages]) -> list[int | Exception]:
    """Delete the rows that are too old; how many that were."""
    return [_forget(tx, ages) for ages in items]


def _forget(tx: Transaction, ages: Ages) -> int:
    statements = (
        delete(idempotency).where(idempotency.c.created_at < ages.idempotency),
        delete(uploads).where(uploads.c.created_at < ages.uploads),
        delete(jobs).where(jobs.c.deleted_at < ages.deleted),
        delete(dead_letters).where(dead_letters.c.created_at < ages.dead),
    )
    return sum(tx.conn.execute(statement).rowcount for statement in statements)
