"""A job as everybody sees it: its states, the legal ways between them, and its JSON shape."""

from datetime import UTC, datetime
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainSerializer

from services.common.errors import JobError


class Status(StrEnum):
    """The state of a job."""

    QUEUED = "QUEUED"
    PROCESSING = "PROCESSING"
    COMPLETED = "COMPLETED"
    FAILED = "FAILED"
    CANCELLED = "CANCELLED"


class Stage(StrEnum):
    """What a PROCESSING job is doing."""

    DOWNLOADING = "downloading"
    PROBING = "probing"
    TRANSCODING = "transcoding"
    UPLOADING = "uploading"


TERMINAL = frozenset({Status.COMPLETED, Status.FAILED, Status.CANCELLED})

# Within one attempt.  A new attempt starts at QUEUED again, and only a retry opens one (see projection.py).
LEGAL: dict[Status, frozenset[Status]] = {
    Status.QUEUED: frozenset({Status.PROCESSING, Status.COMPLETED, Status.FAILED, Status.CANCELLED}),
    Status.PROCESSING: frozenset({Status.PROCESSING, Status.COMPLETED, Status.FAILED, Status.CANCELLED}),
    Status.COMPLETED: frozenset(),
    Status.FAILED: frozenset(),
    Status.CANCELLED: frozenset(),
}
RETRYABLE = frozenset({Status.FAILED, Status.CANCELLED})

MAX_PERCENT_BEFORE_COMPLETED = 99.9


def timestamp(moment: datetime) -> str:
    """`moment` as the API writes times: UTC, milliseconds, `Z`."""
    return moment.astimezone(UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


def now() -> datetime:
    """The present, in UTC, cut to the milliseconds that the API carries."""
    moment = datetime.now(UTC)
    return moment.replace(microsecond=moment.microsecond // 1000 * 1000)


Time = Annotated[datetime, PlainSerializer(timestamp, return_type=str, when_used="json")]
JobId = Annotated[str, Field(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")]
Tenant = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]{0,62}$")]
DEFAULT_TENANT = "default"


class Progress(BaseModel):
    """How far a job is.  `percent` is 0 to 100 and null while unknown; `speed` is media seconds a second."""

    model_config = ConfigDict(frozen=True)

    percent: float | None = None
    fps: float | None = None
    speed: float | None = None
    eta_s: float | None = None


class Warning_(BaseModel):  # noqa: N801 -- `Warning` is a builtin
    """Something dropped, repaired or damaged in a job that succeeded all the same."""

    model_config = ConfigDict(frozen=True, title="Warning")

    code: str
    message: str


class StreamPlan(BaseModel):
    """What was done with one stream of the input, and why."""

    model_config = ConfigDict(frozen=True)

    stream: int
    type: Literal["video", "audio", "subtitle", "data", "attachment"]
    codec: str | None = None
    action: Literal["copy", "encode", "drop"]
    target: str | None = None
    reason: str


class Plan(BaseModel):
    """What a job does: the container it writes and the fate of each stream of the input."""

    model_config = ConfigDict(frozen=True)

    format: str
    duration_s: float | None = None
    streams: list[StreamPlan] = []
    notes: list[str] = []


class Output(BaseModel):
    """One object that a job made, the main one first in the list.  `size` in bytes."""

    model_config = ConfigDict(frozen=True)

    kind: str
    path: str
    size: int
    content_type: str


class Job(BaseModel):
    """A job, as the API and the push protocol show it."""

    job_id: JobId
    status: Status
    stage: Stage | None = None
    progress: Progress = Progress()
    filename: str | None = None
    input_path: str
    output_format: str
    output_path: str
    options: dict[str, Any] = {}
    attempt: int = 1
    seq: int = 0
    error: JobError | None = None
    warnings: list[Warning_] = []
    plan: Plan | None = None
    outputs: list[Output] = []
    created_at: Time
    started_at: Time | None = None
    finished_at: Time | None = None
    updated_at: Time


JOB_FIELDS = frozenset(Job.model_fields)
