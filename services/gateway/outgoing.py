"""The messages the gateway sends about a job, made from the job's state."""

from services.common import topology
from services.common.errors import ErrorCode, JobFailure
from services.common.messages import (
    Cancelled,
    CancelMessage,
    Event,
    Failed,
    Queued,
    WorkMessage,
    event_routing_key,
)
from services.gateway.store.rows import JobState
from services.gateway.store.writer import Transaction


def failure(code: ErrorCode, message: str | None = None) -> dict[str, str]:
    """The `error` of a job, with the code's own sentence unless there is a better one."""
    return JobFailure(code, message).error.model_dump(mode="json")


def send_work(tx: Transaction, job: JobState) -> None:
    """Ask the transcoders to do the job's current attempt."""
    message = WorkMessage(
        job_id=job["job_id"],
        input_path=job["input_path"],
        output_format=job["output_format"],
        output_path=job["output_path"],
        tenant=job["tenant"],
        filename=job["filename"],
        options=job["options"],
        attempt=job["attempt"],
        retries=job["retries"],
        seq=job["seq"],
        queued_at=job["queued_at"],
    )
    tx.send(topology.JOBS, topology.requested(message.output_format), message.encode())


def send_queued(tx: Transaction, job: JobState) -> None:
    """Tell everybody that the job waits."""
    _send_event(
        tx,
        Queued(
            job_id=job["job_id"],
            tenant=job["tenant"],
            attempt=job["attempt"],
            seq=job["seq"],
            time=job["updated_at"],
            filename=job["filename"],
            input_path=job["input_path"],
            output_format=job["output_format"],
            output_path=job["output_path"],
            options=job["options"],
            created_at=job["created_at"],
        ),
    )


def send_ended(tx: Transaction, job: JobState) -> None:
    """Tell everybody that the job was cancelled, or failed by the gateway's own judgement."""
    kind = Cancelled if job["status"] == "CANCELLED" else Failed
    common = {
        "job_id": job["job_id"],
        "tenant": job["tenant"],
        "attempt": job["attempt"],
        "seq": job["seq"],
        "time": job["updated_at"],
        "finished_at": job["finished_at"],
    }
    if kind is Failed:
        common |= {"error": job["error"]}
    _send_event(tx, kind.model_validate(common))


def send_stop(tx: Transaction, job_id: str, attempt: int, reason: str) -> None:
    """Have every attempt of the job up to `attempt` stopped."""
    message = CancelMessage.model_validate({"job_id": job_id, "attempt": attempt, "reason": reason, "time": tx.now})
    tx.send(topology.CONTROL, topology.cancel_key(job_id), message.encode())


def _send_event(tx: Transaction, event: Event) -> None:
    tx.send(topology.EVENTS, event_routing_key(event), event.encode())
