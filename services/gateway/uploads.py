"""POST /upload/request: one URL for one file."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from aiohttp import web
from sqlalchemy import insert

from services.common.jobs import now, timestamp
from services.common.keys import upload_key
from services.common.web import Problem, json_response
from services.gateway.context import Call
from services.gateway.models import UploadRequest
from services.gateway.parsing import invalid, read_body
from services.gateway.signing import presign_put
from services.gateway.store.rows import storable
from services.gateway.store.schema import uploads
from services.gateway.store.writer import Transaction
from services.gateway.urls import store_base


@dataclass(frozen=True, slots=True)
class NewUpload:
    """An upload that has been allowed; `upload_id` is the store's for one in parts."""

    tenant: str
    key: str
    filename: str
    upload_id: str | None = None


def note_uploads(tx: Transaction, items: Sequence[NewUpload]) -> list[Exception | None]:
    """Remember uploads, so that those that never become a job can be counted and collected."""
    rows = [
        {
            "key": item.key,
            "tenant": item.tenant,
            "filename": storable(item.filename),
            "upload_id": item.upload_id,
            "created_at": tx.now,
        }
        for item in items
    ]
    tx.conn.execute(insert(uploads), rows)
    return [None] * len(items)


def too_large(limit: int) -> Problem:
    """A 413 that says what would be accepted."""
    return Problem(413, f"This file is too large: at most {limit} bytes are accepted.")


async def request_upload(call: Call) -> web.Response:
    """Allow an upload: `UploadRequest` → 201 `Upload`."""
    wanted = await read_body(call.request, UploadRequest)
    settings = call.gateway.settings
    if wanted.size is not None and wanted.size > settings.max_upload_size:
        raise too_large(settings.max_upload_size)
    if wanted.size == 0:
        raise invalid(("size", "This file is empty; choose another one."))
    await call.gateway.open_uploads.take(call.tenant)
    key = upload_key(call.tenant, wanted.filename)
    headers = {"Content-Type": wanted.content_type} if wanted.content_type else {}
    expires_s = int(settings.upload_url_ttl)
    expires_at = now() + timedelta(seconds=expires_s)
    url = presign_put(
        settings,
        key,
        store_base(call.request, settings),
        expires_s,
        signed_headers={"Content-Length": str(wanted.size)} if wanted.size else {},
    )
    await call.gateway.store.write(note_uploads, NewUpload(call.tenant, key, wanted.filename))
    body = {
        "input_path": key,
        "method": "PUT",
        "url": url,
        "headers": headers,
        "expires_at": timestamp(expires_at),
        "max_size": settings.max_upload_size,
    }
    return json_response(body, status=201)
