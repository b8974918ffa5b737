"""Every call of the API: how it is reached, what it takes and answers, and who does it.

The router and the OpenAPI document are both made from this table.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from aiohttp import web
from pydantic import BaseModel

from services.common.jobs import Job
from services.gateway import about, actions, dead_letters, jobs, models, multipart, planning, reading, uploads
from services.gateway.context import Call
from services.gateway.idempotency import HEADER as IDEMPOTENCY_KEY

Handler = Callable[[Call], Awaitable[web.Response]]
Answers = Mapping[int, type[BaseModel] | None]


@dataclass(frozen=True, slots=True)
class Route:
    """A call.

    Attributes:
        method, path: how it is reached; `{name}` in the path is matched within one segment.
        handler: who does it; its docstring describes it.
        tag: what it belongs to.
        body: what it takes.
        query: its query parameters.
        headers: request headers that mean something to it, with what they mean.
        answers: what it answers when all is well; None for no body.
        problems: the errors it may answer, besides those that every call may.
        many: True if the answer is a list of the model.
    """

    method: Literal["GET", "POST", "DELETE"]
    path: str
    handler: Handler
    tag: str
    answers: Answers
    body: type[BaseModel] | None = None
    query: type[BaseModel] | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[int, ...] = ()
    many: bool = False


_UPLOAD: Final = "/s3/multipart/{upload_id}"

ROUTES: Final = (
    Route(
        "POST",
        "/upload/request",
        uploads.request_upload,
        "uploads",
        {201: models.Upload},
        body=models.UploadRequest,
        problems=(413,),
    ),
    Route(
        "POST", "/s3/multipart", multipart.begin, "uploads", {200: models.MultipartUpload}, body=models.MultipartRequest
    ),
    Route(
        "GET",
        _UPLOAD,
        multipart.list_parts,
        "uploads",
        {200: models.Part},
        query=models.KeyQuery,
        problems=(404,),
        many=True,
    ),
    Route(
        "GET",
        _UPLOAD + "/{part_number}",
        multipart.sign_part,
        "uploads",
        {200: models.PartUrl},
        query=models.KeyQuery,
        problems=(404,),
    ),
    Route(
        "POST",
        _UPLOAD + "/complete",
        multipart.complete,
        "uploads",
        {200: models.CompletedUpload},
        body=models.CompleteRequest,
        query=models.KeyQuery,
        problems=(404, 413),
    ),
    Route("DELETE", _UPLOAD, multipart.abort, "uploads", {200: models.Empty}, query=models.KeyQuery, problems=(404,)),
    Route(
        "GET",
        "/s3/params",
        multipart.form_parameters,
        "uploads",
        {200: models.PostPolicy},
        query=models.ParamsQuery,
        problems=(501,),
    ),
    Route(
        "POST",
        "/jobs",
        jobs.create_job,
        "jobs",
        {201: Job},
        body=models.JobRequest,
        headers={IDEMPOTENCY_KEY: "The same key and request give the same answer, for 24 hours."},
        problems=(404, 409, 413),
    ),
    Route(
        "POST",
        "/jobs/plan",
        planning.plan_job,
        "jobs",
        {200: models.PlannedJob},
        body=models.JobRequest,
        problems=(404, 413),
    ),
    Route("GET", "/jobs", reading.get_jobs, "jobs", {200: models.JobList}, query=models.ListQuery),
    Route(
        "GET",
        "/jobs/{job_id}",
        reading.get_job,
        "jobs",
        {200: Job, 304: None},
        query=models.WaitQuery,
        headers={
            "If-None-Match": "An ETag: where it still holds, the answer is 304.",
            "Prefer": "`wait=25` holds the answer until the job changes, or as many seconds.",
        },
        problems=(404,),
    ),
    Route(
        "GET",
        "/jobs/{job_id}/download",
        reading.download,
        "jobs",
        {200: models.Download, 302: None},
        query=models.DownloadQuery,
        problems=(404, 409),
    ),
    Route("POST", "/jobs/{job_id}/cancel", actions.cancel_job, "jobs", {202: Job}, problems=(404, 409)),
    Route("POST", "/jobs/{job_id}/retry", actions.retry_job, "jobs", {202: Job}, problems=(404, 409)),
    Route("DELETE", "/jobs/{job_id}", actions.delete_job, "jobs", {204: None}, problems=(404, 409)),
    Route("GET", "/formats", about.get_formats, "about", {200: models.Formats}),
    Route(
        "GET",
        "/dead-letters",
        dead_letters.get_dead_letters,
        "operation",
        {200: models.DeadLetters},
        query=models.DeadQuery,
    ),
    Route(
        "POST",
        "/dead-letters/{id}/redrive",
        dead_letters.redrive_dead_letter,
        "operation",
        {202: models.Empty},
        problems=(404, 409),
    ),
    Route("POST", "/ws/ticket", about.issue_ticket, "push", {201: models.Ticket}),
)
