"""What clients send and get, as models: they check requests, and the OpenAPI document is made from them."""

from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from services.common.formats import FORMAT_NAMES
from services.common.jobs import Job, Plan, Status, Time, Warning_

# JSON numbers beyond this are not exact in every client.
MAX_INTEGER = 2**53 - 1
MAX_PARTS = 10_000


class RequestModel(BaseModel):
    """Base of what is sent: closed, for a misspelt wish must not be ignored."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class LenientModel(BaseModel):
    """Base of what programs of others send, who may add to it."""

    model_config = ConfigDict(frozen=True, extra="ignore")


class AnswerModel(BaseModel):
    """Base of what is answered."""

    model_config = ConfigDict(frozen=True)


Filename = Annotated[
    str,
    Field(min_length=1, max_length=1024, description="The user's own name for the file; any characters."),
]
ContentType = Annotated[str, Field(max_length=255, pattern=r"^[\x21-\x7e][\x20-\x7e]*$")]
ObjectKey = Annotated[str, Field(min_length=1, max_length=1024)]


class UploadRequest(RequestModel):
    """A file that is about to be uploaded in one piece."""

    filename: Filename
    size: Annotated[int, Field(ge=0, le=MAX_INTEGER)] | None = Field(
        None, description="Bytes.  Where it is told, the URL takes no other size."
    )
    content_type: ContentType | None = Field(None, description="Where it is told, send the same `Content-Type`.")


class Upload(AnswerModel):
    """Where and how to upload: `method` to `url` with `headers` before `expires_at`, at most `max_size` bytes."""

    input_path: str
    method: Literal["PUT"] = "PUT"
    url: str
    headers: dict[str, str]
    expires_at: Time
    max_size: int


class PlannedJob(AnswerModel):
    """What a job would do, and about what it would cost; null where the file gives no ground for a guess."""

    plan: Plan
    warnings: list[Warning_]
    estimated_size: int | None = Field(description="Bytes of the output.")
    estimated_s: float | None = Field(description="Seconds of work, once it begins.")


class JobRequest(RequestModel):
    """A conversion to be done."""

    input_path: ObjectKey = Field(description="As `POST /upload/request` or the multipart upload named it.")
    output_format: str = Field(
        description="A name from `GET /formats`.", json_schema_extra={"enum": list(FORMAT_NAMES)}
    )
    options: dict[str, Any] = Field({}, description="As `GET /formats` describes them; held to `Options`.")
    filename: Filename | None = None


class JobList(AnswerModel):
    """A part of the list of jobs; `next_cursor` asks for the next one and is null at the end."""

    jobs: list[Job]
    next_cursor: str | None


class ListQuery(LenientModel):
    """What part of the list of jobs is asked for."""

    status: Status | None = Field(None, description="Only jobs in this state.")
    limit: Annotated[int, Field(ge=1, le=200)] = Field(50, description="Jobs in the answer.")
    cursor: Annotated[str, Field(max_length=512)] | None = Field(None, description="`next_cursor` of the part before.")


class WaitQuery(LenientModel):
    """How long an answer may be held."""

    wait: Annotated[float, Field(ge=0, le=60, allow_inf_nan=False)] | None = Field(
        None, description="Seconds to hold the answer until the job changes (`Prefer: wait=` does the same)."
    )


class DownloadQuery(LenientModel):
    """How a download is answered."""

    redirect: bool = Field(default=False, description="Answer with a redirection to the URL.")
    kind: Annotated[str, Field(max_length=32)] | None = Field(
        None, description="Which of the job's `outputs`, such as `thumbnail`; without it the main one."
    )


class Download(AnswerModel):
    """Where the result is, until `expires_at`.  `size` in bytes."""

    url: str
    filename: str
    size: int
    content_type: str
    expires_at: Time


class FormatInfo(AnswerModel):
    """An output format."""

    name: str
    kind: str
    content_type: str
    extension: str
    video_codecs: list[str]
    audio_codecs: list[str]
    subtitle_codecs: list[str]
    note: str


class Formats(AnswerModel):
    """What can be asked for.  `options` is the JSON Schema of a job's options; limits in bytes and seconds."""

    formats: list[FormatInfo]
    options: dict[str, Any]
    limits: dict[str, float | int | None]


class Ticket(AnswerModel):
    """Lets its bearer listen at `/ws?ticket=` or `/events?ticket=` if it connects before `expires_at`."""

    ticket: str
    expires_at: Time


class MultipartRequest(LenientModel):
    """A file that is about to be uploaded in parts."""

    filename: Filename = "file"
    type: ContentType = "application/octet-stream"
    metadata: dict[str, Any] | None = None


class MultipartUpload(AnswerModel):
    """A multipart upload that has begun."""

    key: str
    uploadId: str  # noqa: N815 -- Uppy's name
    bucket: str


class Part(AnswerModel):
    """A part that has arrived.  `Size` in bytes."""

    PartNumber: int
    ETag: str
    Size: int


class PartUrl(AnswerModel):
    """Where to PUT a part, for `expires` seconds."""

    url: str
    expires: int


class CompletedPart(LenientModel):
    """A part as the store acknowledged it."""

    PartNumber: Annotated[int, Field(ge=1, le=MAX_PARTS)]
    ETag: Annotated[str, Field(min_length=1, max_length=256, pattern=r"^[\x21-\x7e]+$")]


class CompleteRequest(LenientModel):
    """The parts of an upload that is complete."""

    parts: Annotated[list[CompletedPart], Field(min_length=1, max_length=MAX_PARTS)]


class CompletedUpload(AnswerModel):
    """The object that the parts have become."""

    location: str
    key: str
    bucket: str


class KeyQuery(LenientModel):
    """Which object a multipart upload is for."""

    key: ObjectKey


class PartPath(LenientModel):
    """Which part of an upload."""

    part_number: Annotated[int, Field(ge=1, le=MAX_PARTS)]


class ParamsQuery(LenientModel):
    """A file that is about to be uploaded by a form."""

    filename: Filename
    type: ContentType = "application/octet-stream"


class PostPolicy(AnswerModel):
    """A form to upload a file with."""

    method: Literal["POST"] = "POST"
    url: str
    fields: dict[str, str]
    expires: int


class Empty(AnswerModel):
    """Nothing more to say."""


class DeadLetter(AnswerModel):
    """A work message that no transcoder could deal with."""

    id: int
    job_id: str | None
    reason: str
    message: str
    created_at: Time
    redriven_at: Time | None


class DeadLetters(AnswerModel):
    """Dead letters, newest first."""

    dead_letters: list[DeadLetter]


class DeadQuery(LenientModel):
    """What part of the list of dead letters is asked for."""

    limit: Annotated[int, Field(ge=1, le=200)] = 50
    before: Annotated[int, Field(ge=1, le=MAX_INTEGER)] | None = Field(None, description="Only those with a lower id.")


class DeadPath(LenientModel):
    """Which dead letter."""

    id: Annotated[int, Field(ge=1, le=MAX_INTEGER)]


class FieldError(AnswerModel):
    """What is wrong with one field."""

    field: str
    message: str


class ProblemDetails(AnswerModel):
    """Every error (RFC 9457)."""

    type: str
    title: str
    status: int
    detail: str
    errors: list[FieldError] = []
