"""Objects that are to be removed: noted in the transaction that made them superfluous, removed after it."""

from collections.abc import Sequence
from typing import Final

from sqlalchemy import delete, select
from sqlalchemy.engine import Connection

from services.common.storage import Storage
from services.gateway.store.schema import garbage
from services.gateway.store.store import Store
from services.gateway.store.writer import Transaction

_BATCH: Final = 200


def next_garbage(conn: Connection, limit: int) -> list[str]:
    """Some of the objects that are to be removed, the longest noted first."""
    return list(conn.execute(select(garbage.c.key).order_by(garbage.c.created_at).limit(limit)).scalars())


def forget_garbage(tx: Transaction, items: Sequence[Sequence[str]]) -> list[Exception | None]:
    """These objects are gone."""
    keys = [key for some in items for key in some]
    tx.conn.execute(delete(garbage).where(garbage.c.key.in_(keys)))
    return [None] * len(items)


async def remove_garbage(store: Store, storage: Storage) -> int:
    """Remove all that is noted; how many objects that was.

    Raises:
        StorageError, StoreUnavailableError: the rest stays noted.
    """
    removed = 0
    while keys := await store.read(next_garbage, _BATCH):
        await storage.remove(*keys)
        await store.write(forget_garbage, keys)
        removed += len(keys)
    return removed
