"""What the API answers with, as the client's callers see it.

Fields and codes are only ever added to the API, so these models keep what they do not know (`extra="allow"`) and
hold codes as text: an old client reads a new server.
"""

from dataclasses import dataclass
from typing import Any

from pydantic import BaseModel, ConfigDict

from services.common.jobs import TERMINAL, Output, Plan, Progress, Status, Time, Warning_

__all__ = [
    "DeadLetter",
    "Download",
    "Format",
    "Formats",
    "Job",
    "JobFault",
    "Limits",
    "Output",
    "Plan",
    "PlanEstimate",
    "Progress",
    "Status",
    "UploadRef",
    "Uploaded",
    "Warning_",
]


class Answer(BaseModel):
    """Base of all that comes from the API: unknown fields are kept and can be read as attributes."""

    model_config = ConfigDict(frozen=True, extra="allow")


class JobFault(Answer):
    """Why a job failed: a code from the documented list, and a sentence that says what to do."""

    code: str
    message: str


class Job(Answer):
    """A job.  Times are UTC; `progress.percent` is 0 to 100, None while unknown."""

    job_id: str
    status: Status
    stage: str | None = None
    progress: Progress = Progress()
    filename: str | None = None
    input_path: str
    output_format: str
    output_path: str
    options: dict[str, Any] = {}
    attempt: int = 1
    seq: int = 0
    error: JobFault | None = None
    warnings: list[Warning_] = []
    plan: Plan | None = None
    outputs: list[Output] = []
    created_at: Time
    started_at: Time | None = None
    finished_at: Time | None = None
    updated_at: Time

    @property
    def done(self) -> bool:
        """True once the job has ended, well or not."""
        return self.status in TERMINAL


class Format(Answer):
    """An output format that can be asked for by `name`."""

    name: str
    kind: str = "video"
    content_type: str = "application/octet-stream"
    extension: str = ""
    video_codecs: list[str] = []
    audio_codecs: list[str] = []
    subtitle_codecs: list[str] = []
    note: str = ""


class Limits(Answer):
    """What the server accepts.  `max_upload_size` in bytes, None where it does not say."""

    max_upload_size: int | None = None


class Formats(Answer):
    """What can be asked for.  `options` is the JSON Schema of a job's options."""

    formats: list[Format]
    options: dict[str, Any] = {}
    limits: Limits = Limits()

    def find(self, name: str) -> Format | None:
        """The format called `name`, None if there is none."""
        return next((fmt for fmt in self.formats if fmt.name == name), None)


class Download(Answer):
    """Where an output is for a while.  `size` in bytes; `filename` is the name to keep it under."""

    url: str
    filename: str
    size: int
    content_type: str = "application/octet-stream"
    expires_at: Time


class PlanEstimate(Answer):
    """What a job would do to an uploaded file, without doing it.

    `estimated_size` in bytes and `estimated_s` in seconds of work, None where there is no telling.
    """

    plan: Plan
    warnings: list[Warning_] = []
    estimated_size: int | None = None
    estimated_s: float | None = None


class DeadLetter(Answer):
    """A work message that no transcoder could deal with."""

    id: int
    job_id: str | None = None
    reason: str
    created_at: Time
    redriven_at: Time | None = None


class UploadRef(BaseModel):
    """An upload under way in the store: all that is needed to go on with it later, from another process too."""

    model_config = ConfigDict(frozen=True)

    upload_id: str
    key: str
    part_size: int


@dataclass(frozen=True, slots=True)
class Uploaded:
    """A file in the store, ready to be made into a job.  `size` in bytes."""

    input_path: str
    filename: str
    size: int
