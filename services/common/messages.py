"""The messages on the broker: work, events and control.

They change only by addition: readers ignore what they do not know, and every field added later has a default.
A work message may come from any program and holds at least the four fields without one.
"""

from typing import Annotated, Any, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter

from services.common.errors import JobError
from services.common.jobs import (
    DEFAULT_TENANT,
    JobId,
    Output,
    Plan,
    Progress,
    Stage,
    Status,
    Tenant,
    Time,
    Warning_,
)


class Message(BaseModel):
    """Base of everything on the wire."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    def encode(self) -> bytes:
        """The message as JSON."""
        return orjson.dumps(self.model_dump(mode="json"))


class WorkMessage(Message):
    """A job to be done, on `video.jobs`.

    `attempt` is the fence: events of a lower one are stale.  `retries` counts the automatic attempts already
    used.  `seq` is the last event number given to the job, `queued_at` when this attempt was first queued.
    `deliveries` counts those of earlier copies of this message, `percent_floor` is how far one of them came,
    `parked` how often a transcoder had no room for it.
    """

    job_id: JobId
    input_path: Annotated[str, Field(min_length=1, max_length=1024)]
    output_format: Annotated[str, Field(pattern=r"^[a-z0-9]{1,8}$")]
    output_path: Annotated[str, Field(min_length=1, max_length=1024)]
    tenant: Tenant = DEFAULT_TENANT
    filename: str | None = None
    options: dict[str, Any] = {}
    attempt: Annotated[int, Field(ge=1)] = 1
    retries: Annotated[int, Field(ge=0)] = 0
    seq: Annotated[int, Field(ge=0)] = 0
    queued_at: Time | None = None
    deliveries: Annotated[int, Field(ge=0)] = 0
    percent_floor: float | None = None
    parked: Annotated[int, Field(ge=0)] = 0


class Event(Message):
    """What every event carries.  `seq` rises by event within a job, `attempt` never falls."""

    job_id: JobId
    tenant: Tenant = DEFAULT_TENANT
    attempt: Annotated[int, Field(ge=1)] = 1
    seq: Annotated[int, Field(ge=0)]
    time: Time


class _About(Event):
    """What a job is about, so that a reader who has never heard of it can show it."""

    filename: str | None = None
    input_path: str
    output_format: str
    output_path: str
    options: dict[str, Any] = {}


class _Anew(Event):
    """What an attempt that begins again resets, so that a reader can merge the event into the job."""

    stage: None = None
    progress: Progress = Progress()
    error: None = None
    warnings: list[Warning_] = []
    plan: None = None
    outputs: list[Output] = []
    started_at: None = None
    finished_at: None = None


class Queued(_About, _Anew):
    """A job, or a new attempt of one, waits for a transcoder."""

    type: Literal["job.queued"] = "job.queued"
    status: Literal[Status.QUEUED] = Status.QUEUED
    created_at: Time | None = None


class Started(_About):
    """A transcoder has taken the job."""

    type: Literal["job.started"] = "job.started"
    status: Literal[Status.PROCESSING] = Status.PROCESSING
    stage: Stage = Stage.DOWNLOADING
    started_at: Time


class Progressed(Event):
    """The job is further on, or in another stage.  Lossy: only the newest matters."""

    type: Literal["job.progress"] = "job.progress"
    status: Literal[Status.PROCESSING] = Status.PROCESSING
    stage: Stage
    progress: Progress = Progress()


class Retrying(_Anew):
    """The last attempt failed for a reason that may pass; `attempt` is the new one, tried after `delay_s`."""

    type: Literal["job.retrying"] = "job.retrying"
    status: Literal[Status.QUEUED] = Status.QUEUED
    reason: JobError
    delay_s: float = 0.0


class Completed(Event):
    """The outputs are in the store."""

    type: Literal["job.completed"] = "job.completed"
    status: Literal[Status.COMPLETED] = Status.COMPLETED
    stage: None = None
    progress: Progress = Progress(percent=100.0)
    output_path: str
    outputs: list[Output]
    warnings: list[Warning_] = []
    plan: Plan | None = None
    finished_at: Time


class Failed(Event):
    """The job has ended without an output."""

    type: Literal["job.failed"] = "job.failed"
    status: Literal[Status.FAILED] = Status.FAILED
    stage: None = None
    error: JobError
    warnings: list[Warning_] = []
    plan: Plan | None = None
    finished_at: Time


class Cancelled(Event):
    """Somebody asked for the job to be stopped, and it was."""

    type: Literal["job.cancelled"] = "job.cancelled"
    status: Literal[Status.CANCELLED] = Status.CANCELLED
    stage: None = None
    finished_at: Time


JobEvent = Annotated[
    Queued | Started | Progressed | Retrying | Completed | Failed | Cancelled, Field(discriminator="type")
]
EVENTS: TypeAdapter[JobEvent] = TypeAdapter(JobEvent)
TERMINAL_EVENTS = frozenset({"job.completed", "job.failed", "job.cancelled"})


class CancelMessage(Message):
    """Stop every attempt of the job up to and including `attempt`, on `video.control`."""

    job_id: JobId
    attempt: Annotated[int, Field(ge=1)] = 1
    reason: Literal["cancelled", "superseded", "deleted"] = "cancelled"
    time: Time | None = None


class PlanRequest(Message):
    """A question to any transcoder: what would be done with this input?  Answered to `reply_to`."""

    input_path: Annotated[str, Field(min_length=1, max_length=1024)]
    output_format: Annotated[str, Field(pattern=r"^[a-z0-9]{1,8}$")]
    options: dict[str, Any] = {}


class PlanAnswer(Message):
    """What would be done, or why it can't be.  `estimated_size` in bytes, `estimated_s` in seconds of work."""

    plan: Plan | None = None
    warnings: list[Warning_] = []
    estimated_size: int | None = None
    estimated_s: float | None = None
    error: JobError | None = None


def event_routing_key(event: Event) -> str:
    """`job.{event}.{tenant}.{job_id}`, as consumers bind to it."""
    kind = str(getattr(event, "type")).removeprefix("job.")  # noqa: B009 -- each subclass has its own literal
    return f"job.{kind}.{event.tenant}.{event.job_id}"
