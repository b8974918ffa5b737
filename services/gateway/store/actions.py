"""What a user can do to a job: cancel, retry, delete.  Each a compare-and-set on the row, with its messages."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

from sqlalchemy import select

from services.common.jobs import RETRYABLE, TERMINAL, Status
from services.common.keys import outcome_key, owner_of_upload
from services.common.sequence import seq_after
from services.gateway import outgoing
from services.gateway.store.events import collect, ended, load, save
from services.gateway.store.rows import JobState, blank
from services.gateway.store.schema import jobs
from services.gateway.store.writer import Transaction


class UnknownJobError(Exception):
    """There is no such job, or it is somebody else's."""


class IllegalTransitionError(Exception):
    """The job's present state, in `status`, does not allow it."""

    def __init__(self, status: str) -> None:
        super().__init__(status)
        self.status = status


@dataclass(frozen=True, slots=True)
class Which:
    """A job, and the tenant that asks; `origin` of the request, which is the job's own from then on."""

    tenant: str
    job_id: str
    origin: str | None = None


_Action = Callable[[Transaction, JobState], JobState]
_RESET: Final = ("stage", "progress", "error", "warnings", "plan", "outputs", "started_at", "finished_at")


def next_seq(job: JobState, now: str) -> int:
    """A number for an event of the gateway's own, above any that a transcoder can have used meanwhile."""
    return seq_after(job["seq"], datetime.fromisoformat(job["updated_at"]), datetime.fromisoformat(now))


def requeued(job: JobState, now: str, *, retries: int) -> JobState:
    """The job at the beginning of another attempt."""
    fresh = blank()
    return (
        job
        | {name: fresh[name] for name in _RESET}
        | {
            "status": Status.QUEUED.value,
            "attempt": job["attempt"] + 1,
            "retries": retries,
            "seq": next_seq(job, now),
            "queued_at": now,
            "updated_at": now,
        }
    )


def finished(job: JobState, now: str, status: Status, error: dict[str, str] | None = None) -> JobState:
    """The job ended by the gateway."""
    return job | {
        "status": status.value,
        "stage": None,
        "error": error,
        "seq": next_seq(job, now),
        "finished_at": now,
        "updated_at": now,
    }


def _each(tx: Transaction, items: Sequence[Which], action: _Action) -> list[JobState | Exception]:
    known = load(tx, [item.job_id for item in items])
    changed: dict[str, JobState] = {}
    results: list[JobState | Exception] = []
    for item in items:
        job = known.get(item.job_id)
        if job is None or job["tenant"] != item.tenant or job["deleted_at"] is not None:
            results.append(UnknownJobError())
            continue
        try:
            state = action(tx, job | {"origin": item.origin or job["origin"]})
        except IllegalTransitionError as error:
            results.append(error)
            continue
        known[item.job_id] = changed[item.job_id] = state
        results.append(state)
    save(tx, list(changed.values()))
    return results


def cancel_jobs(tx: Transaction, items: Sequence[Which]) -> list[JobState | Exception]:
    """End jobs that have not ended; the transcoder that may be at one is told to stop."""
    return _each(tx, items, _cancel)


def retry_jobs(tx: Transaction, items: Sequence[Which]) -> list[JobState | Exception]:
    """Open a new attempt of jobs that failed or were cancelled."""
    return _each(tx, items, _retry)


def delete_jobs(tx: Transaction, items: Sequence[Which]) -> list[JobState | Exception]:
    """Take jobs away that no transcoder is at, and have their objects removed.

    The row stays, out of sight, until no late event can bring the job back.
    """
    return _each(tx, items, _delete)


def _cancel(tx: Transaction, job: JobState) -> JobState:
    if job["status"] in TERMINAL:
        raise IllegalTransitionError(job["status"])
    state = finished(job, tx.now, Status.CANCELLED)
    outgoing.send_stop(tx, state, state["attempt"], "cancelled")
    outgoing.send_ended(tx, state)
    tx.after.append(ended(state))
    return state


def _retry(tx: Transaction, job: JobState) -> JobState:
    if job["status"] not in RETRYABLE:
        raise IllegalTransitionError(job["status"])
    state = requeued(job, tx.now, retries=0)
    outgoing.send_work(tx, state)
    outgoing.send_queued(tx, state)
    return state


def _delete(tx: Transaction, job: JobState) -> JobState:
    if job["status"] == Status.PROCESSING:
        raise IllegalTransitionError(job["status"])
    state = job
    if job["status"] == Status.QUEUED:
        state = finished(job, tx.now, Status.CANCELLED)
        outgoing.send_stop(tx, state, state["attempt"], "deleted")
        outgoing.send_ended(tx, state)
        tx.after.append(ended(state))
    keys = {output["path"] for output in job["outputs"]}
    keys |= {job["output_path"], outcome_key(job["job_id"])}
    if owner_of_upload(job["input_path"]) == job["tenant"] and not _used_by_another(tx, job):
        keys.add(job["input_path"])
    collect(tx, keys)
    return state | {"deleted_at": tx.now}


def _used_by_another(tx: Transaction, job: JobState) -> bool:
    another = select(jobs.c.job_id).where(
        jobs.c.input_path == job["input_path"],
        jobs.c.job_id != job["job_id"],
        jobs.c.deleted_at.is_(None),
    )
    return tx.conn.execute(another.limit(1)).first() is not None
