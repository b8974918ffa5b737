"""New jobs: the row, its outgoing messages and the answer to its Idempotency-Key, all or nothing."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import bindparam, delete, insert, select, tuple_

from services.gateway import outgoing
from services.gateway.store.bulk import insert_rows
from services.gateway.store.rows import render
from services.gateway.store.schema import idempotency, jobs, uploads
from services.gateway.store.writer import Transaction

_USED: Final = (
    delete(uploads)
    .where(uploads.c.key.in_(bindparam("keys", expanding=True)))
    .returning(uploads.c.key, uploads.c.filename)
)


class KeyReusedError(Exception):
    """The Idempotency-Key was used before, for another request."""


@dataclass(frozen=True, slots=True)
class Key:
    """An Idempotency-Key.  `fingerprint` stands for the request; keys older than `expired` no longer count."""

    tenant: str
    key: str
    fingerprint: str
    expired: str


@dataclass(frozen=True, slots=True)
class NewJob:
    """A job to be made, by its row."""

    row: dict[str, Any]
    key: Key | None = None


@dataclass(frozen=True, slots=True)
class Made:
    """The body of the answer, the job as it was made; `replayed` if it is the one given before."""

    response: bytes
    replayed: bool = False


def create_jobs(tx: Transaction, items: Sequence[NewJob]) -> list[Made | Exception]:
    """Make the jobs; an item whose key is known gets the answer of then."""
    known = _known_keys(tx, [item.key for item in items if item.key is not None])
    names = _names(tx, items)
    results: list[Made | Exception] = []
    fresh: list[tuple[NewJob, bytes]] = []
    for item in items:
        found = known.get((item.key.tenant, item.key.key)) if item.key else None
        if found is None:
            if item.row["filename"] is None:
                item.row["filename"] = names.get(item.row["input_path"])
            response = orjson.dumps(render(item.row))
            results.append(Made(response))
            fresh.append((item, response))
            if item.key:
                known[item.key.tenant, item.key.key] = (item.key.fingerprint, response)
        elif item.key and found[0] != item.key.fingerprint:
            results.append(KeyReusedError())
        else:
            results.append(Made(found[1], replayed=True))
    _insert(tx, fresh)
    return results


def _known_keys(tx: Transaction, keys: Sequence[Key]) -> dict[tuple[str, str], tuple[str, bytes]]:
    if not keys:
        return {}
    which = tuple_(idempotency.c.tenant, idempotency.c.key).in_([(key.tenant, key.key) for key in keys])
    tx.conn.execute(delete(idempotency).where(which, idempotency.c.created_at < min(key.expired for key in keys)))
    rows = tx.conn.execute(select(idempotency).where(which)).mappings()
    return {(row["tenant"], row["key"]): (row["fingerprint"], row["response"]) for row in rows}


def _names(tx: Transaction, items: Sequence[NewJob]) -> dict[str, str | None]:
    """The names given for the uploads that now become jobs, and are open no more."""
    keys = list({item.row["input_path"] for item in items})
    return {row.key: row.filename for row in tx.conn.execute(_USED, {"keys": keys})}


def _insert(tx: Transaction, items: Sequence[tuple[NewJob, bytes]]) -> None:
    if not items:
        return
    insert_rows(tx.conn, jobs, [item.row for item, _ in items])
    keys = [
        {
            "tenant": item.key.tenant,
            "key": item.key.key,
            "fingerprint": item.key.fingerprint,
            "job_id": item.row["job_id"],
            "response": response,
            "created_at": tx.now,
        }
        for item, response in items
        if item.key
    ]
    if keys:
        tx.conn.execute(insert(idempotency), keys)
    for item, _ in items:
        outgoing.send_work(tx, item.row)
        outgoing.send_queued(tx, item.row)
