"""POST /jobs/{id}/cancel, POST /jobs/{id}/retry and DELETE /jobs/{id}."""

from typing import Final

import orjson
from aiohttp import web

from services.common import tracing
from services.common.logs import get_logger
from services.common.storage import StorageError
from services.common.web import Problem
from services.gateway.context import Call
from services.gateway.garbage import remove_garbage
from services.gateway.reading import find, job_id_of, unknown_job
from services.gateway.store.actions import (
    IllegalTransitionError,
    UnknownJobError,
    Which,
    cancel_jobs,
    delete_jobs,
    retry_jobs,
)
from services.gateway.store.rows import JobState, encode, etag, render
from services.gateway.store.writer import Operation

log = get_logger(__name__)

_WHEN: Final = {
    "cancel": "Only a job that has not ended can be cancelled",
    "retry": "Only a job that failed or was cancelled can be retried",
    "delete": "A job can't be deleted while it is being worked on; cancel it first",
}

_DONE: Final = {"cancel": "job_cancelled", "retry": "job_retried", "delete": "job_deleted"}


async def _do(call: Call, name: str, operation: Operation[Which, JobState]) -> JobState:
    try:
        state = await call.gateway.store.write(
            operation, Which(call.tenant, job_id_of(call.request), tracing.encoded())
        )
    except UnknownJobError:
        raise unknown_job() from None
    except IllegalTransitionError as error:
        raise Problem(409, f"{_WHEN[name]}: this one is {error.status}.") from None
    log.info(_DONE[name], job_id=state["job_id"], attempt=state["attempt"], tenant=call.tenant)
    return state


def _accepted(state: JobState) -> web.Response:
    return web.Response(
        body=orjson.dumps(render(encode(state))),
        status=202,
        content_type="application/json",
        headers={"ETag": etag(state["attempt"], state["seq"])},
    )


async def cancel_job(call: Call) -> web.Response:
    """End a job: 202 `Job`."""
    return _accepted(await _do(call, "cancel", cancel_jobs))


async def retry_job(call: Call) -> web.Response:
    """Open a new attempt of a job: 202 `Job`."""
    row = await find(call, job_id_of(call.request))
    if await call.gateway.objects.stat(row["input_path"]) is None:
        raise Problem(409, "The uploaded file is no longer there. Upload it again and submit a new job.")
    await call.gateway.queued_jobs.take(call.tenant)
    return _accepted(await _do(call, "retry", retry_jobs))


async def delete_job(call: Call) -> web.Response:
    """Take a job away, and its objects: 204."""
    await _do(call, "delete", delete_jobs)
    try:
        await remove_garbage(call.gateway.store, call.gateway.storage)
    except StorageError as error:
        # What is to be removed is noted on disk; the collector comes for it.
        log.warning("removal_postponed", error=repr(error))
    return web.Response(status=204)
