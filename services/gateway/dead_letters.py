"""GET /dead-letters and POST /dead-letters/{id}/redrive."""

from aiohttp import web

from services.common import tracing
from services.common.errors import ERRORS, ErrorCode
from services.common.web import Problem, json_response
from services.gateway.context import Call
from services.gateway.models import DeadPath, DeadQuery
from services.gateway.parsing import read_query, read_values
from services.gateway.store.actions import IllegalTransitionError
from services.gateway.store.dead import Letter, UnknownLetterError, redrive
from services.gateway.store.reads import list_dead


async def get_dead_letters(call: Call) -> web.Response:
    """Work that no transcoder could deal with, newest first: 200 `DeadLetters`."""
    query = read_query(call.request, DeadQuery)
    rows = await call.gateway.store.read(list_dead, call.tenant, query.limit, query.before)
    letters = [
        {
            "id": row["id"],
            "job_id": row["job_id"],
            "reason": row["reason"],
            "message": ERRORS[ErrorCode(row["reason"])].message,
            "created_at": row["created_at"],
            "redriven_at": row["redriven_at"],
        }
        for row in rows
    ]
    return json_response({"dead_letters": letters})


async def redrive_dead_letter(call: Call) -> web.Response:
    """Give one another try: 202, an empty object."""
    number = read_values({"id": call.request.match_info["id"]}, DeadPath).id
    try:
        await call.gateway.store.write(redrive, Letter(call.tenant, number, tracing.encoded()))
    except UnknownLetterError:
        raise Problem(404, "There is no such dead letter.") from None
    except IllegalTransitionError as error:
        raise Problem(409, f"It can't be tried again: it, or its job, is {error.status}.") from None
    return json_response({}, status=202)
