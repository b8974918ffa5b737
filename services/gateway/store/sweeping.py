"""Jobs in limbo: found by their age, looked at again under the lock, and set going or ended."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from sqlalchemy import and_, func, or_, select
from sqlalchemy.engine import Connection

from services.common import metrics
from services.common.errors import ErrorCode
from services.common.jobs import Status, timestamp
from services.common.topology import RETRY_DELAYS_S
from services.gateway import outgoing
from services.gateway.store.actions import finished, requeued
from services.gateway.store.events import ended, load, save
from services.gateway.store.rows import JobState
from services.gateway.store.schema import jobs, outbox
from services.gateway.store.writer import Transaction


@dataclass(frozen=True, slots=True)
class Suspect:
    """A job that has not been heard of since `cutoff`, a time as the rows have it."""

    job_id: str
    cutoff: str
    max_retries: int = 0


def find_silent(conn: Connection, cutoff: str, limit: int) -> list[str]:
    """PROCESSING jobs without an event since `cutoff`."""
    query = select(jobs.c.job_id).where(jobs.c.status == Status.PROCESSING, jobs.c.updated_at < cutoff)
    return list(conn.execute(query.limit(limit)).scalars())


def find_waiting(conn: Connection, cutoff: str, limit: int) -> list[str]:
    """QUEUED jobs handed over before `cutoff`; none while messages older than that are still to be sent."""
    unsent = conn.execute(select(func.min(outbox.c.created_at))).scalar()
    if unsent is not None and unsent < cutoff:
        return []
    query = select(jobs.c.job_id).where(jobs.c.status == Status.QUEUED, jobs.c.queued_at < cutoff)
    return list(conn.execute(query.order_by(jobs.c.queued_at).limit(limit)).scalars())


def find_overtaken(conn: Connection, margin_s: float, limit: int) -> list[str]:
    """QUEUED jobs that others have overtaken, handed over more than `margin_s` seconds later and already begun.

    The queue is first in, first out; so their messages have vanished, however full it is.  Jobs that rest before
    another attempt are overtaken rightly and wait their time out first.
    """
    frontier = conn.execute(select(func.max(jobs.c.queued_at)).where(jobs.c.status == Status.PROCESSING)).scalar()
    if frontier is None:
        return []
    begun = datetime.fromisoformat(frontier) - timedelta(seconds=margin_s)
    rested = begun - timedelta(seconds=max(RETRY_DELAYS_S))
    query = select(jobs.c.job_id).where(
        jobs.c.status == Status.QUEUED,
        or_(
            and_(jobs.c.retries == 0, jobs.c.queued_at < timestamp(begun)),
            jobs.c.queued_at < timestamp(rested),
        ),
    )
    return list(conn.execute(query.limit(limit)).scalars())


def restart_silent(tx: Transaction, items: Sequence[Suspect]) -> list[bool | Exception]:
    """Open a new attempt of jobs that are stuck, or end those that have used them up; False for the others."""
    known = load(tx, [item.job_id for item in items])
    changed: list[JobState] = []
    results: list[bool | Exception] = []
    for item in items:
        job = known.get(item.job_id)
        stuck = job is not None and job["status"] == Status.PROCESSING and job["updated_at"] < item.cutoff
        results.append(stuck)
        if job is not None and stuck:
            changed.append(_restart(tx, job, item.max_retries))
    save(tx, changed)
    return results


def _restart(tx: Transaction, job: JobState, max_retries: int) -> JobState:
    outgoing.send_stop(tx, job, job["attempt"], "superseded")
    if job["retries"] >= max_retries:
        state = finished(job, tx.now, Status.FAILED, outgoing.failure(ErrorCode.WORKER_LOST))
        outgoing.send_ended(tx, state)
        tx.after.append(ended(state))
        return state
    state = requeued(job, tx.now, retries=job["retries"] + 1)
    outgoing.send_work(tx, state)
    outgoing.send_queued(tx, state)
    tx.after.append(lambda: metrics.RETRIES.inc({"code": ErrorCode.WORKER_LOST.value}))
    return state


def requeue_waiting(tx: Transaction, items: Sequence[Suspect]) -> list[bool | Exception]:
    """Send the work messages of jobs that still wait once more; False for the others.

    The attempt stays the same: should the first message be there after all, the second one does no harm.
    """
    known = load(tx, [item.job_id for item in items])
    changed: list[JobState] = []
    results: list[bool | Exception] = []
    for item in items:
        job = known.get(item.job_id)
        waits = job is not None and job["status"] == Status.QUEUED and job["queued_at"] < item.cutoff
        results.append(waits)
        if job is not None and waits:
            state = job | {"queued_at": tx.now}
            outgoing.send_work(tx, state)
            changed.append(state)
    save(tx, changed)
    return results
