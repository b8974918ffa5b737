"""The messages the gateway sends about a job, made from the job's state.

Every new job sends two of them, so they are written down as what they are, JSON objects, and not by way of the models
of `services.common.messages`, which would take many times as long; tests hold the two together.
"""

from collections.abc import Mapping
from typing import Any, Final

import orjson

from services.common import topology
from services.common.errors import ErrorCode, JobFailure
from services.gateway.store.rows import NO_PROGRESS
from services.gateway.store.writer import Transaction

# A job's state, or its row, whose JSON text is taken over as it is.
State = Mapping[str, Any]

_ANEW: Final[dict[str, Any]] = {
    "stage": None,
    "progress": NO_PROGRESS,
    "error": None,
    "warnings": [],
    "plan": None,
    "outputs": [],
    "started_at": None,
    "finished_at": None,
}


def failure(code: ErrorCode, message: str | None = None) -> dict[str, str]:
    """The `error` of a job, with the code's own sentence unless there is a better one."""
    return JobFailure(code, message).error.model_dump(mode="json")


def _json(value: Any) -> Any:
    return orjson.Fragment(value) if isinstance(value, str) else value


def work(job: State) -> dict[str, Any]:
    """The `WorkMessage` that asks the transcoders for the job's current attempt."""
    return {
        "job_id": job["job_id"],
        "input_path": job["input_path"],
        "output_format": job["output_format"],
        "output_path": job["output_path"],
        "tenant": job["tenant"],
        "filename": job["filename"],
        "options": _json(job["options"]),
        "attempt": job["attempt"],
        "retries": job["retries"],
        "seq": job["seq"],
        "queued_at": job["queued_at"],
    }


def _event(kind: str, job: State) -> dict[str, Any]:
    return {
        "type": f"job.{kind}",
        "job_id": job["job_id"],
        "tenant": job["tenant"],
        "attempt": job["attempt"],
        "seq": job["seq"],
        "time": job["updated_at"],
        "status": job["status"],
    }


def queued(job: State) -> dict[str, Any]:
    """The `Queued` event that tells everybody that the job waits."""
    return {
        **_event("queued", job),
        **_ANEW,
        "filename": job["filename"],
        "input_path": job["input_path"],
        "output_format": job["output_format"],
        "output_path": job["output_path"],
        "options": _json(job["options"]),
        "created_at": job["created_at"],
    }


def ended(job: State) -> dict[str, Any]:
    """The `Cancelled` or `Failed` event of a job that the gateway itself has ended."""
    kind = "cancelled" if job["status"] == "CANCELLED" else "failed"
    event = {**_event(kind, job), "stage": None, "finished_at": job["finished_at"]}
    return event if kind == "cancelled" else event | {"error": job["error"]}


def stop(job_id: str, attempt: int, reason: str, time: str) -> dict[str, Any]:
    """The `CancelMessage` that stops every attempt of the job up to `attempt`."""
    return {"job_id": job_id, "attempt": attempt, "reason": reason, "time": time}


def send_work(tx: Transaction, job: State) -> None:
    """Ask the transcoders to do the job's current attempt."""
    tx.send(topology.JOBS, topology.requested(job["output_format"]), orjson.dumps(work(job)), job["origin"])


def send_queued(tx: Transaction, job: State) -> None:
    """Tell everybody that the job waits."""
    _send_event(tx, queued(job), job["origin"])


def send_ended(tx: Transaction, job: State) -> None:
    """Tell everybody that the job was cancelled, or failed by the gateway's own judgement."""
    _send_event(tx, ended(job), job["origin"])


def send_stop(tx: Transaction, job: State, attempt: int, reason: str) -> None:
    """Have every attempt of the job up to `attempt` stopped."""
    body = orjson.dumps(stop(job["job_id"], attempt, reason, tx.now))
    tx.send(topology.CONTROL, topology.cancel_key(job["job_id"]), body, job["origin"])


def _send_event(tx: Transaction, event: dict[str, Any], origin: str | None) -> None:
    kind = event["type"].removeprefix("job.")
    tx.send(topology.EVENTS, f"job.{kind}.{event['tenant']}.{event['job_id']}", orjson.dumps(event), origin)
