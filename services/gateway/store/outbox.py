"""The outbox: what the relay takes from it and gives up."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sqlalchemy import bindparam, delete, select
from sqlalchemy.engine import Connection

from services.gateway.store.schema import outbox
from services.gateway.store.writer import Transaction

_NEXT: Final = (
    select(outbox.c.id, outbox.c.exchange, outbox.c.routing_key, outbox.c.body, outbox.c.origin)
    .where(outbox.c.id > bindparam("after"))
    .order_by(outbox.c.id)
    .limit(bindparam("limit"))
)
_SENT: Final = delete(outbox).where(outbox.c.id.in_(bindparam("ids", expanding=True)))


@dataclass(frozen=True, slots=True)
class OutboxMessage:
    """A message to be sent; `origin` as the row has it."""

    id: int
    exchange: str
    routing_key: str
    body: bytes
    origin: str | None


def next_messages(conn: Connection, after: int, limit: int) -> list[OutboxMessage]:
    """The oldest messages numbered above `after`, in the order to send them."""
    return [OutboxMessage(*row) for row in conn.execute(_NEXT, {"after": after, "limit": limit})]


def delete_sent(tx: Transaction, items: Sequence[Sequence[int]]) -> list[Exception | None]:
    """Forget the messages of these ids: the broker has them."""
    ids = [number for numbers in items for number in numbers]
    for start in range(0, len(ids), 500):
        tx.conn.execute(_SENT, {"ids": ids[start : start + 500]})
    return [None] * len(items)
