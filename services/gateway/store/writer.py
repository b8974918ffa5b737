"""Group commit: whatever is asked for while a transaction is under way shares the next one.

A durable commit costs a flush of the disk however much it carries.  So there is one writer; it takes all that
waits, does it in one transaction, and only when that is on disk answers everybody at once.
"""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, TypeVar

import anyio
from sqlalchemy.engine import Connection
from sqlalchemy.exc import SQLAlchemyError

from services.common.jobs import now, timestamp
from services.common.logs import get_logger
from services.gateway.store.bulk import insert_rows
from services.gateway.store.engine import (
    DATABASE_ERRORS,
    StoreRefusedError,
    StoreUnavailableError,
    is_of_statement,
    is_retryable,
)
from services.gateway.store.schema import outbox
from services.gateway.store.transact import Transactor

log = get_logger(__name__)

MAX_BATCH: Final = 512
PATIENCE_S: Final = 0.05
_RETRIES: Final = 3

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(slots=True)
class Transaction:
    """What operations work on: the connection, and what is to happen with or after the commit."""

    conn: Connection
    now: str
    messages: list[dict[str, Any]] = field(default_factory=list)
    changed: set[str] = field(default_factory=set)
    after: list[Callable[[], None]] = field(default_factory=list)

    def send(self, exchange: str, routing_key: str, body: bytes, origin: str | None) -> None:
        """Have a message of `origin` sent if, and only if, the transaction is committed."""
        self.messages.append(
            {
                "exchange": exchange,
                "routing_key": routing_key,
                "body": body,
                "created_at": self.now,
                "origin": origin,
            }
        )

    def touch(self, job_id: str) -> None:
        """Tell those who wait for `job_id` once the transaction is committed."""
        self.changed.add(job_id)


# An operation does many items at once, with few statements.  It gives one result an item; an exception given as a
# result is raised where that item was asked for, and must not have changed anything.
Operation = Callable[[Transaction, Sequence[Item]], Sequence[Result | Exception]]


@dataclass(slots=True)
class _Request:
    operation: Operation[Any, Any]
    item: Any
    future: asyncio.Future[Any]


@dataclass(frozen=True, slots=True)
class Committed:
    """What a commit means for others: messages are in the outbox, jobs have changed."""

    messages: bool
    changed: frozenset[str]


class Writer:
    """The only one who changes the database."""

    def __init__(self, transactor: Transactor, on_commit: Callable[[Committed], None]) -> None:
        self._transactor = transactor
        self._on_commit = on_commit
        self._waiting: list[_Request] = []
        self._patient: list[_Request] = []
        self._wake = asyncio.Event()
        self._closed = False

    async def submit(self, operation: Operation[Item, Result], item: Item, *, patient: bool = False) -> Result:
        """Do `operation` on `item` within the next transaction; returns when that is on disk.

        With `patient` it goes along with somebody else's transaction, or has its own after `PATIENCE_S`.

        Raises:
            StoreUnavailableError: nothing was changed.
        """
        if self._closed:
            raise StoreUnavailableError("closed")
        loop = asyncio.get_running_loop()
        future: asyncio.Future[Result] = loop.create_future()
        request = _Request(operation, item, future)
        if patient:
            self._patient.append(request)
            loop.call_later(PATIENCE_S, self._wake.set)
        else:
            self._waiting.append(request)
            self._wake.set()
        return await future

    async def run(self) -> None:
        """Write until cancelled; what waits then is still done, for its callers were promised an answer."""
        try:
            while True:
                await self._wake.wait()
                self._wake.clear()
                with anyio.CancelScope(shield=True):
                    await self._drain()
        finally:
            self._closed = True
            with anyio.CancelScope(shield=True):
                await self._drain()

    async def _drain(self) -> None:
        self._waiting += self._patient
        self._patient = []
        while self._waiting:
            batch, self._waiting = self._waiting[:MAX_BATCH], self._waiting[MAX_BATCH:]
            await self._write(batch)

    async def _write(self, batch: list[_Request]) -> None:
        try:
            await self._transact_retrying(batch)
        except DATABASE_ERRORS as error:
            if is_of_statement(error):
                await self._write_singly(batch, StoreRefusedError(type(error).__name__))
            else:
                log.error("write_failed", error=repr(error), requests=len(batch))  # noqa: TRY400 -- no bug of ours
                _fail(batch, StoreUnavailableError(type(error).__name__))
        except Exception as error:  # noqa: BLE001 -- an operation's own mistake: its caller gets it, the writer lives on
            await self._write_singly(batch, error)

    async def _write_singly(self, batch: list[_Request], error: Exception) -> None:
        """One of `batch` has caused `error`, and the others must not suffer for it."""
        if len(batch) == 1:
            _fail(batch, error)
            return
        for request in batch:
            await self._write([request])

    async def _transact_retrying(self, batch: list[_Request]) -> None:
        for remaining in reversed(range(_RETRIES)):
            try:
                await self._transact(batch)
            except SQLAlchemyError as error:
                if not (remaining and is_retryable(error)):
                    raise
            else:
                return

    async def _transact(self, batch: list[_Request]) -> None:
        results, transaction = await self._transactor.run(lambda conn: _perform(conn, batch))
        for request, result in zip(batch, results, strict=True):
            if request.future.done():  # its caller has gone away
                continue
            if isinstance(result, Exception):
                request.future.set_exception(result)
            else:
                request.future.set_result(result)
        for effect in transaction.after:
            effect()
        self._on_commit(Committed(bool(transaction.messages), frozenset(transaction.changed)))


def _fail(batch: list[_Request], error: Exception) -> None:
    for request in batch:
        if not request.future.done():
            request.future.set_exception(error)


def _perform(conn: Connection, batch: Sequence[_Request]) -> tuple[list[Any], Transaction]:
    """All of `batch` on `conn`, those of the same operation together, in the order of first appearance."""
    transaction = Transaction(conn, timestamp(now()))
    groups: dict[Operation[Any, Any], list[int]] = {}
    for place, request in enumerate(batch):
        groups.setdefault(request.operation, []).append(place)
    results: list[Any] = [None] * len(batch)
    for operation, places in groups.items():
        outcome = operation(transaction, [batch[place].item for place in places])
        for place, result in zip(places, outcome, strict=True):
            results[place] = result
    if transaction.messages:
        insert_rows(conn, outbox, transaction.messages)
    return results, transaction


def perform(conn: Connection, operation: Operation[Item, Result], *items: Item) -> list[Result | Exception]:
    """`operation` on `items` within a transaction of the caller's, for commands and tests."""
    futures: Any = None
    results, _ = _perform(conn, [_Request(operation, item, futures) for item in items])
    return results
