"""POST /jobs: from a stored object and a wish to a queued job."""

from typing import Any

import orjson
from aiohttp import web

from services.common import metrics, tracing
from services.common.formats import FORMATS
from services.common.jobs import Status, now, timestamp
from services.common.keys import output_key, owner_of_upload
from services.common.logs import get_logger
from services.common.options import OptionsError, check, parse_options
from services.common.web import Problem
from services.gateway.context import Call
from services.gateway.idempotency import remembered
from services.gateway.ids import new_job_id
from services.gateway.models import JobRequest
from services.gateway.parsing import invalid, read_body
from services.gateway.store.creation import KeyReusedError, Made, NewJob
from services.gateway.store.creation import create_jobs as creation
from services.gateway.store.engine import StoreRefusedError
from services.gateway.store.rows import etag, new_row, storable
from services.gateway.uploads import too_large

log = get_logger(__name__)


def check_wishes(wanted: JobRequest) -> None:
    """Refuse what no file could make possible; Problem 422."""
    if not wanted.options and wanted.output_format in FORMATS:
        return  # every format can be made without a wish
    if wanted.output_format not in FORMATS:
        raise invalid(("output_format", f"Choose one of: {', '.join(FORMATS)}."))
    try:
        options = parse_options(wanted.options)
    except OptionsError as error:
        raise invalid(*error.errors) from None
    if errors := check(wanted.output_format, options):
        raise invalid(*errors)


async def check_input(call: Call, input_path: str) -> None:
    """See that the upload is there, this tenant's, and of a size that is accepted.

    Raises:
        Problem: 422 for what can't be an upload or is empty, 404 for one that is not there or somebody else's,
            413 for one that is too large, which is then removed.
    """
    owner = owner_of_upload(input_path)
    if owner is None:
        raise invalid(("input_path", "This is not the name of an upload; take the one that was given for it."))
    info = await call.gateway.objects.stat(input_path) if owner == call.tenant else None
    if info is None:
        raise Problem(404, "There is no such upload. Upload the file first, then submit the job.")
    if info.size > call.gateway.settings.max_upload_size:
        await call.gateway.storage.remove(input_path)
        call.gateway.objects.forget(input_path)
        raise too_large(call.gateway.settings.max_upload_size)
    if info.size == 0:
        raise invalid(("input_path", "The uploaded file is empty; upload another one."))


def new_job(tenant: str, wanted: JobRequest) -> dict[str, Any]:
    """The row of the job at its beginning."""
    job_id, moment = new_job_id(), timestamp(now())
    return new_row(
        wanted.options,
        job_id=job_id,
        tenant=tenant,
        status=Status.QUEUED.value,
        filename=storable(wanted.filename),
        input_path=wanted.input_path,
        output_format=wanted.output_format,
        output_path=output_key(tenant, job_id, FORMATS[wanted.output_format].extension),
        seq=1,
        created_at=moment,
        queued_at=moment,
        updated_at=moment,
        origin=tracing.encoded(),
    )


async def _make(call: Call, new: NewJob) -> Made:
    try:
        return await call.gateway.store.write(creation, new)
    except StoreRefusedError:
        if new.key is None:
            raise
        # Another gateway on the same database has just taken the key; now its answer is there.
        return await call.gateway.store.write(creation, new)


async def create_job(call: Call) -> web.Response:
    """Make a job: `JobRequest` → 201 `Job`, once its row and its messages are on disk."""
    wanted = await read_body(call.request, JobRequest)
    check_wishes(wanted)
    with remembered(call, wanted) as key:
        await check_input(call, wanted.input_path)
        await call.gateway.queued_jobs.take(call.tenant)
        job = new_job(call.tenant, wanted)
        try:
            made = await _make(call, NewJob(job, key))
        except KeyReusedError:
            raise Problem(422, "This Idempotency-Key was used before, for another request.") from None
    if made.replayed:
        job = orjson.loads(made.response)
    else:
        metrics.INGESTION_TALLY.inc()
        log.info("job_created", job_id=job["job_id"], attempt=1, tenant=call.tenant, output_format=wanted.output_format)
    headers = {"Location": f"/jobs/{job['job_id']}", "ETag": etag(job["attempt"], job["seq"])}
    return web.Response(body=made.response, status=201, content_type="application/json", headers=headers)
