"""Dead letters: kept, and the end of their jobs."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, select, update

from services.common import topology
from services.common.errors import ErrorCode
from services.common.jobs import RETRYABLE, TERMINAL, Status
from services.common.messages import WorkMessage
from services.gateway import outgoing
from services.gateway.store.actions import (
    IllegalTransitionError,
    Which,
    finished,
    retry_jobs,
)
from services.gateway.store.events import ended, load, save
from services.gateway.store.rows import JobState, blank, encode, storable
from services.gateway.store.schema import dead_letters, jobs
from services.gateway.store.writer import Transaction


class UnknownLetterError(Exception):
    """There is no such dead letter, or it is somebody else's."""


@dataclass(frozen=True, slots=True)
class DeadMessage:
    """A message that no transcoder could deal with.

    `work` is what it says if it can be read, `job_id` whose it is if at least that is known; `attempt` is the last
    attempt that it can have been delivered as.
    """

    body: bytes
    routing_key: str
    code: ErrorCode
    tenant: str
    job_id: str | None
    work: WorkMessage | None
    attempt: int
    origin: str | None = None


@dataclass(frozen=True, slots=True)
class Letter:
    """A dead letter, and the tenant that asks; `origin` of the request."""

    tenant: str
    number: int
    origin: str | None = None


def bury(tx: Transaction, items: Sequence[DeadMessage]) -> list[Exception | None]:
    """Keep the messages, and end their jobs FAILED unless these have ended or moved on."""
    known = load(tx, [item.job_id for item in items if item.job_id])
    changed: dict[str, JobState] = {}
    fresh: dict[str, JobState] = {}
    for item in items:
        if item.job_id is None:
            continue
        job = known.get(item.job_id)
        if job is None and item.work is not None:
            job = known[item.job_id] = fresh[item.job_id] = _unheard_of(tx, item.work, item.origin)
        if job is not None and job["status"] not in TERMINAL and job["attempt"] <= item.attempt:
            state = finished(job, tx.now, Status.FAILED, outgoing.failure(item.code))
            known[item.job_id] = changed[item.job_id] = state
            outgoing.send_ended(tx, state)
            tx.after.append(ended(state))
    if fresh:
        tx.conn.execute(insert(jobs), [encode(state) for state in fresh.values()])
    save(tx, list(changed.values()))
    tx.conn.execute(insert(dead_letters), [_row(tx, item) for item in items])
    return [None] * len(items)


def _unheard_of(tx: Transaction, work: WorkMessage, origin: str | None) -> JobState:
    """The job of a message that another program sent and that never got as far as to be started."""
    fields: dict[str, Any] = work.model_dump(include={"job_id", "tenant", "filename", "options"})
    fields |= work.model_dump(include={"input_path", "output_format", "output_path", "attempt", "seq"})
    fields = {name: storable(value) for name, value in fields.items()}
    moments = dict.fromkeys(("created_at", "queued_at", "updated_at"), tx.now)
    return blank(status=Status.QUEUED.value, origin=origin, **fields, **moments)


def _row(tx: Transaction, item: DeadMessage) -> dict[str, Any]:
    return {
        "job_id": item.job_id,
        "tenant": item.tenant,
        "reason": item.code.value,
        "routing_key": item.routing_key,
        "body": item.body,
        "created_at": tx.now,
    }


def redrive(tx: Transaction, items: Sequence[Letter]) -> list[Exception | None]:
    """Give the messages another try: a new attempt of their job, or just the message where no job is known."""
    return [_redrive(tx, item) for item in items]


def _redrive(tx: Transaction, item: Letter) -> Exception | None:
    query = select(dead_letters).where(dead_letters.c.id == item.number, dead_letters.c.tenant == item.tenant)
    letter = tx.conn.execute(query.with_for_update()).mappings().first()
    if letter is None:
        return UnknownLetterError()
    if letter["redriven_at"] is not None:
        return IllegalTransitionError("redriven")
    job = load(tx, [letter["job_id"]]).get(letter["job_id"]) if letter["job_id"] else None
    if job is None or job["deleted_at"] is not None:
        tx.send(topology.JOBS, letter["routing_key"] or topology.requested("again"), letter["body"], item.origin)
    elif job["status"] not in RETRYABLE:
        return IllegalTransitionError(job["status"])
    else:
        [result] = retry_jobs(tx, [Which(job["tenant"], job["job_id"], item.origin)])
        if isinstance(result, Exception):
            return result
    tx.conn.execute(update(dead_letters).where(dead_letters.c.id == item.number).values(redriven_at=tx.now))
    return None
