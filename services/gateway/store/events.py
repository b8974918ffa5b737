"""Events of transcoders onto the rows: each idempotently, in order, many in one transaction."""

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from sqlalchemy import bindparam, insert, select, update

from services.common import metrics
from services.common.jobs import TERMINAL
from services.common.projection import Verdict, changes, judge
from services.gateway import outgoing
from services.gateway.store.rows import FIXED, MUTABLE, JobState, blank, decode, encode, storable
from services.gateway.store.schema import garbage, jobs
from services.gateway.store.writer import Transaction

Event = Mapping[str, Any]

# Only these say what a job is about, so only they can bring one into the table that was never heard of.
_ADOPTING: Final = frozenset({"job.queued", "job.started"})
# Workers that still send these for an attempt that is over do not know it.
_OF_A_RUNNING_WORKER: Final = frozenset({"job.started", "job.progress"})

# In one order everywhere, so that two gateways on one database do not wait for each other in a circle.
_LOAD: Final = (
    select(jobs).where(jobs.c.job_id.in_(bindparam("ids", expanding=True))).order_by(jobs.c.job_id).with_for_update()
)
_UPDATE: Final = (
    update(jobs)
    .where(jobs.c.job_id == bindparam("b_job_id"))
    .values({name: bindparam(f"b_{name}") for name in MUTABLE})
)


def load(tx: Transaction, ids: Sequence[str]) -> dict[str, JobState]:
    """The jobs of `ids` that there are, deleted ones too, locked until the commit."""
    return {row["job_id"]: decode(row) for row in tx.conn.execute(_LOAD, {"ids": list(set(ids))}).mappings()}


def save(tx: Transaction, states: Sequence[JobState]) -> None:
    """Write changed jobs back, and tell those who wait for them."""
    if not states:
        return
    names = ("job_id", *MUTABLE)
    rows = [encode(state) for state in states]
    tx.conn.execute(_UPDATE, [{f"b_{name}": row[name] for name in names} for row in rows])
    for state in states:
        tx.touch(state["job_id"])


def apply_events(tx: Transaction, events: Sequence[Event]) -> list[Verdict | Exception]:
    """Apply `events` in their order; says for each what it was found to be.

    Beside its own fields an event may have an `origin`, as the rows have it.
    """
    known = load(tx, [event["job_id"] for event in events])
    adopted: dict[str, JobState] = {}
    changed: dict[str, JobState] = {}
    stop: dict[tuple[str, int], JobState] = {}
    verdicts: list[Verdict | Exception] = []
    for event in events:
        job_id = event["job_id"]
        job = known.get(job_id)
        verdict = Verdict.EARLY if job is not None and _is_early(job, event) else judge(job, event)
        if job is not None and verdict is Verdict.APPLY:
            known[job_id] = changed[job_id] = _advance(tx, job, event)
        elif job is None and event["type"] in _ADOPTING:
            known[job_id] = adopted[job_id] = changed[job_id] = _adopt(event)
        elif job is None:
            verdict = Verdict.STALE
        elif verdict in (Verdict.STALE, Verdict.ENDED):
            if event["type"] in _OF_A_RUNNING_WORKER:
                stop[job_id, event["attempt"]] = job
            _discard_outputs(tx, job, event)
        verdicts.append(verdict)
    if adopted:
        tx.conn.execute(insert(jobs), [encode(state) for state in adopted.values()])
    save(tx, list(changed.values()))
    for (_, attempt), job in stop.items():
        outgoing.send_stop(tx, job, attempt, "superseded")
    return verdicts


def _is_early(job: JobState, event: Event) -> bool:
    """Progress has a queue of its own.  What overtakes its `job.started` there must not make that look old."""
    begun = event["attempt"] < job["attempt"] or (event["attempt"] == job["attempt"] and job["status"] != "QUEUED")
    return event["type"] == "job.progress" and not begun and job["status"] not in TERMINAL


def _adopt(event: Event) -> JobState:
    fields = {name: storable(value) for name, value in changes(None, event).items()}
    return blank(tenant=event["tenant"], queued_at=fields["created_at"], origin=event.get("origin")) | fields


def _advance(tx: Transaction, job: JobState, event: Event) -> JobState:
    state = job | {name: value for name, value in changes(job, event).items() if name not in FIXED}
    if event["attempt"] > job["attempt"]:
        # A transcoder opened this attempt by itself; the ones the gateway opens are in the row already.
        state["retries"] = job["retries"] + event["attempt"] - job["attempt"]
    if state["status"] == "QUEUED":
        state["queued_at"] = event["time"]
    elif state["status"] in TERMINAL:
        tx.after.append(ended(state))
    return state


def ended(job: JobState) -> Callable[[], None]:
    """Counts a job that has ended; to be called once that is on disk."""
    labels = {"status": str(job["status"]).lower(), "code": (job["error"] or {}).get("code", "")}
    seconds = None
    if job["status"] == "COMPLETED":
        taken = datetime.fromisoformat(job["finished_at"]) - datetime.fromisoformat(job["queued_at"])
        seconds = max(0.0, taken.total_seconds())

    def count() -> None:
        metrics.JOBS_FINISHED.inc(labels)
        if seconds is not None:
            metrics.JOB_SECONDS.observe({}, seconds)

    return count


def _discard_outputs(tx: Transaction, job: JobState, event: Event) -> None:
    """A job that was deleted while its last breath was under way leaves nothing behind."""
    if job["deleted_at"] is None or event["type"] != "job.completed":
        return
    keys = {output["path"] for output in event["outputs"]} | {event["output_path"]}
    collect(tx, keys)


def collect(tx: Transaction, keys: set[str]) -> None:
    """Have the objects removed."""
    there = set(tx.conn.execute(select(garbage.c.key).where(garbage.c.key.in_(keys))).scalars())
    rows = [{"key": key, "created_at": tx.now} for key in sorted(keys - there)]
    if rows:
        tx.conn.execute(insert(garbage), rows)
