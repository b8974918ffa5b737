"""GET /formats and POST /ws/ticket."""

from functools import cache

import orjson
from aiohttp import web

from services.common import tickets
from services.common.formats import FORMATS, describe
from services.common.jobs import timestamp
from services.common.options import options_schema
from services.common.web import json_response
from services.gateway.context import Call
from services.gateway.models import MAX_PARTS
from services.gateway.settings import GatewaySettings


@cache
def _formats(settings: GatewaySettings) -> bytes:
    body = {
        "formats": [describe(fmt) for fmt in FORMATS.values()],
        "options": options_schema(),
        "limits": {
            "max_upload_size": settings.max_upload_size,
            "max_parts": MAX_PARTS,
            "upload_url_ttl": settings.upload_url_ttl,
            "requests_per_second": settings.limit("requests"),
            "open_uploads": settings.limit("uploads"),
            "queued_jobs": settings.limit("jobs"),
        },
    }
    return orjson.dumps(body)


async def get_formats(call: Call) -> web.Response:
    """What can be asked for: 200 `Formats`."""
    return web.Response(body=_formats(call.gateway.settings), content_type="application/json")


async def issue_ticket(call: Call) -> web.Response:
    """A ticket for the push channel: 201 `Ticket`."""
    settings = call.gateway.settings
    ticket, expires_at = tickets.issue(settings.ticket_secret.get_secret_value(), call.tenant, settings.ticket_ttl)
    return json_response(
        {"ticket": ticket, "expires_at": timestamp(expires_at)},
        status=201,
        headers={"Cache-Control": "no-store"},
    )
