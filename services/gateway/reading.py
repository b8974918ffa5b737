"""GET /jobs, /jobs/{id} and /jobs/{id}/download."""

import asyncio
import re
from datetime import timedelta
from time import monotonic
from typing import Final

import orjson
from aiohttp import web

from services.common.formats import FORMATS
from services.common.jobs import TERMINAL, Status, now, timestamp
from services.common.web import Problem, json_response
from services.gateway.context import Call
from services.gateway.models import DownloadQuery, ListQuery, WaitQuery
from services.gateway.parsing import invalid, read_query
from services.gateway.store.lookup import Row
from services.gateway.store.reads import BadCursorError, Page, list_jobs
from services.gateway.store.rows import etag, render
from services.gateway.urls import store_base

JOB_ID: Final = re.compile(r"^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$")
_PREFER_WAIT: Final = re.compile(r"(?:^|[,;\s])wait\s*=\s*\"?(\d{1,6})\"?(?:$|[,;\s])", re.IGNORECASE)
_MAX_WAIT_S: Final = 60.0
# Another gateway on the same database may be the one that hears of a change.
_LOOK_S: Final = 1.0
# How far the push channel may be ahead of the rows.
_AHEAD_S: Final = 1.0


def unknown_job() -> Problem:
    """A 404, the same for a job that is not there and for somebody else's."""
    return Problem(404, "There is no such job.")


def job_id_of(request: web.Request) -> str:
    """The job that the path names; Problem 404 if none could be called that."""
    job_id = request.match_info["job_id"]
    if not JOB_ID.match(job_id):
        raise unknown_job()
    return job_id


async def find(call: Call, job_id: str) -> Row:
    """The row of this tenant's job; Problem 404."""
    row = await call.gateway.store.job(job_id)
    if row is None or row["tenant"] != call.tenant:
        raise unknown_job()
    return row


def wait_of(request: web.Request) -> float:
    """Seconds for which the client would have the answer held; 0 for not at all."""
    asked = read_query(request, WaitQuery).wait if request.query_string else None
    if asked is None:
        match = _PREFER_WAIT.search(request.headers.get("Prefer", ""))
        asked = float(match[1]) if match else 0.0
    return min(asked, _MAX_WAIT_S)


async def get_job(call: Call) -> web.Response:
    """A job, at once or when it has changed: 200 `Job`, or 304 for one that the client has already."""
    job_id = job_id_of(call.request)
    known = call.request.headers.get("If-None-Match")
    wait_s = wait_of(call.request)
    row = await (_changed(call, job_id, known, wait_s) if wait_s else find(call, job_id))
    tag = etag(row["attempt"], row["seq"])
    if known is not None and _matches(known, tag):
        return web.Response(status=304, headers={"ETag": tag})
    return web.Response(
        body=orjson.dumps(render(row)),
        content_type="application/json",
        headers={"ETag": tag, "Cache-Control": "no-cache"},
    )


def _matches(known: str, tag: str) -> bool:
    return known.strip() == "*" or tag in (part.strip().removeprefix("W/") for part in known.split(","))


async def _changed(call: Call, job_id: str, known: str | None, wait_s: float) -> Row:
    """The job once it differs from what the client knows, or has ended, or the time is up."""
    gateway = call.gateway
    with gateway.waiters.watching(job_id) as changed:
        row = await find(call, job_id)
        first = etag(row["attempt"], row["seq"])
        if known is not None and not _matches(known, first):
            return row
        try:
            async with asyncio.timeout(wait_s):
                while row["status"] not in TERMINAL and not gateway.waiters.closed:
                    await _woken(changed, _LOOK_S if gateway.store.shared else None)
                    changed.clear()
                    row = await find(call, job_id)
                    if etag(row["attempt"], row["seq"]) != first:
                        return row
        except TimeoutError:
            return row
        return row


async def _woken(event: asyncio.Event, at_most_s: float | None) -> None:
    if at_most_s is None:
        await event.wait()
        return
    waiting = asyncio.ensure_future(event.wait())
    try:
        await asyncio.wait([waiting], timeout=at_most_s)
    finally:
        waiting.cancel()


async def get_jobs(call: Call) -> web.Response:
    """The tenant's jobs, newest first: 200 `JobList`."""
    query = read_query(call.request, ListQuery)
    page = Page(call.tenant, query.status, query.limit, query.cursor)
    try:
        rows, cursor = await call.gateway.store.read(list_jobs, page)
    except BadCursorError:
        raise invalid(("cursor", "Take the next_cursor of an answer, unchanged.")) from None
    return json_response({"jobs": [render(row) for row in rows], "next_cursor": cursor})


def download_name(row: Row, extension: str | None = None) -> str:
    """The user's own name for the result: that of the upload, with the result's extension."""
    fmt = FORMATS.get(row["output_format"])
    extension = extension or (fmt.extension if fmt else row["output_format"])
    stem = (row["filename"] or "").replace("/", "_").replace("\\", "_")
    head, dot, tail = stem.rpartition(".")
    if dot and head and len(tail) <= 10:  # noqa: PLR2004 -- longer than any extension
        stem = head
    return f"{stem or row['job_id']}.{extension}"


def _wanted(row: Row, kind: str | None) -> tuple[str, str | None, str | None]:
    """Path, media type and extension of an output, the last two None where nobody has said; Problem 404."""
    outputs = orjson.loads(row["outputs"])
    if kind is None or (outputs and outputs[0]["kind"] == kind):
        fmt = FORMATS.get(row["output_format"])
        return row["output_path"], fmt.content_type if fmt else None, None
    for output in outputs:
        if output["kind"] == kind:
            return output["path"], output["content_type"], output["path"].rpartition(".")[2]
    raise Problem(404, "This job has no such output; its `outputs` lists what there is.")


async def _caught_up(call: Call, job_id: str) -> Row:
    """The job, given a moment to end: who asks has often just been told so by the push channel, which may be ahead."""
    row = await find(call, job_id)
    end = monotonic() + _AHEAD_S
    while row["status"] not in TERMINAL and (left := end - monotonic()) > 0 and not call.gateway.waiters.closed:
        row = await _changed(call, job_id, None, left)
    return row


async def download(call: Call) -> web.Response:
    """Where the result is: 200 `Download`, or a redirection there."""
    settings = call.gateway.settings
    query = read_query(call.request, DownloadQuery)
    row = await _caught_up(call, job_id_of(call.request))
    if row["status"] != Status.COMPLETED:
        raise Problem(409, f"There is nothing to download: this job is {row['status']}.")
    path, content_type, extension = _wanted(row, query.kind)
    info = await call.gateway.objects.stat(path)
    if info is None:
        raise Problem(409, "The result is no longer there. Submit the job again.")
    name = download_name(row, extension)
    content_type = content_type or info.content_type
    expires_s = int(settings.download_url_ttl)
    expires_at = timestamp(now() + timedelta(seconds=expires_s))
    url = await call.gateway.storage.presign_get(
        path,
        store_base(call.request, settings),
        expires_s,
        filename=name,
        content_type=content_type,
    )
    if query.redirect:
        return web.Response(status=302, headers={"Location": url, "Cache-Control": "no-store"})
    body = {"url": url, "filename": name, "size": info.size, "content_type": content_type, "expires_at": expires_at}
    return json_response(body)
