"""Uploads in parts, as Uppy's `@uppy/aws-s3` asks its companion for them.

Parts go straight to the store, by URLs that are signed one at a time and as late as possible; so an upload can
pause for as long as it likes.  Whose an upload is, its key says.
"""

from aiohttp import web

from services.common.keys import owner_of_upload, upload_key
from services.common.storage import ObjectMissingError, StorageRefusedError
from services.common.web import Problem, json_response
from services.gateway.context import Call
from services.gateway.models import (
    MAX_PARTS,
    CompleteRequest,
    KeyQuery,
    MultipartRequest,
    ParamsQuery,
    PartPath,
)
from services.gateway.parsing import invalid, read_body, read_query, read_values
from services.gateway.signing import post_policy
from services.gateway.uploads import NewUpload, note_uploads, too_large
from services.gateway.urls import store_base


def _unknown_upload() -> Problem:
    return Problem(404, "There is no such upload. It may have been completed, aborted, or given up for its age.")


def _which(call: Call) -> tuple[str, str]:
    """The key and id of the upload; Problem 404 unless it can be this tenant's."""
    key = read_query(call.request, KeyQuery).key
    upload_id = call.request.match_info["upload_id"]
    if owner_of_upload(key) != call.tenant or not upload_id.isprintable():
        raise _unknown_upload()
    return key, upload_id


async def begin(call: Call) -> web.Response:
    """Begin an upload in parts: `MultipartRequest` → 200 `MultipartUpload`."""
    wanted = await read_body(call.request, MultipartRequest)
    await call.gateway.open_uploads.take(call.tenant)
    key = upload_key(call.tenant, wanted.filename)
    upload_id = await call.gateway.storage.create_multipart(key, wanted.type)
    await call.gateway.store.write(note_uploads, NewUpload(call.tenant, key, wanted.filename, upload_id))
    return json_response({"key": key, "uploadId": upload_id, "bucket": call.gateway.settings.s3_bucket})


async def list_parts(call: Call) -> web.Response:
    """The parts that have arrived: 200, a bare list of `Part`."""
    key, upload_id = _which(call)
    try:
        parts = await call.gateway.storage.list_parts(key, upload_id)
    except (ObjectMissingError, StorageRefusedError):
        raise _unknown_upload() from None
    return json_response([{"PartNumber": part.number, "ETag": f'"{part.etag}"', "Size": part.size} for part in parts])


async def sign_part(call: Call) -> web.Response:
    """Where to send one part: 200 `PartUrl`."""
    key, upload_id = _which(call)
    number = read_values({"part_number": call.request.match_info["part_number"]}, PartPath).part_number
    settings = call.gateway.settings
    expires_s = int(settings.upload_url_ttl)
    url = await call.gateway.storage.presign_part(key, upload_id, number, store_base(call.request, settings), expires_s)
    return json_response({"url": url, "expires": expires_s})


async def complete(call: Call) -> web.Response:
    """Make the object of its parts: `CompleteRequest` → 200 `CompletedUpload`, again if it is asked again."""
    key, upload_id = _which(call)
    wanted = await read_body(call.request, CompleteRequest)
    parts = sorted((part.PartNumber, part.ETag.strip('"')) for part in wanted.parts)
    gateway = call.gateway
    try:
        there = {part.number: part.size for part in await gateway.storage.list_parts(key, upload_id)}
        if any(number not in there for number, _ in parts):
            raise invalid(("parts", "Some of these parts have not arrived; list them and upload the rest."))
        if sum(there[number] for number, _ in parts) > gateway.settings.max_upload_size:
            await gateway.storage.abort_multipart(key, upload_id)
            raise too_large(gateway.settings.max_upload_size)
        await gateway.storage.complete_multipart(key, upload_id, parts)
    except ObjectMissingError:
        # Who has not got the first answer asks again; there is nothing left to complete then, but there is the object.
        if await gateway.storage.stat(key) is None:
            raise _unknown_upload() from None
    except StorageRefusedError as error:
        raise invalid(("parts", f"The store does not take these parts ({error.code}).")) from None
    settings = gateway.settings
    location = f"{store_base(call.request, settings)}/{settings.s3_bucket}/{key}"
    return json_response({"location": location, "key": key, "bucket": settings.s3_bucket})


async def abort(call: Call) -> web.Response:
    """Give an upload up: 200, an empty object, also where there was none."""
    key, upload_id = _which(call)
    try:
        await call.gateway.storage.abort_multipart(key, upload_id)
    except StorageRefusedError:
        raise _unknown_upload() from None
    return json_response({})


async def form_parameters(call: Call) -> web.Response:
    """A form for an upload in one piece: 200 `PostPolicy`; 501 where the store takes no forms."""
    wanted = read_query(call.request, ParamsQuery)
    settings = call.gateway.settings
    if not settings.s3_post_policy:
        raise Problem(501, f"Upload this file in parts (1 to {MAX_PARTS}); the store takes no forms.")
    await call.gateway.open_uploads.take(call.tenant)
    key = upload_key(call.tenant, wanted.filename)
    expires_s = int(settings.upload_url_ttl)
    fields = post_policy(settings, key, wanted.type, settings.max_upload_size, expires_s)
    await call.gateway.store.write(note_uploads, NewUpload(call.tenant, key, wanted.filename))
    url = f"{store_base(call.request, settings)}/{settings.s3_bucket}"
    return json_response({"method": "POST", "url": url, "fields": fields, "expires": expires_s})
