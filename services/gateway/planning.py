"""POST /jobs/plan: what a job would do, asked of a transcoder, with nothing converted and nothing kept."""

from typing import Final

from aiohttp import web

from services.common import topology
from services.common.errors import ERRORS, ErrorCode, JobError
from services.common.messages import PlanAnswer, PlanRequest
from services.common.rpc import NoAnswerError
from services.common.web import Problem, json_response
from services.gateway.context import Call
from services.gateway.jobs import check_input, check_wishes
from services.gateway.models import JobRequest, PlannedJob
from services.gateway.parsing import read_body

_PATIENCE_S: Final = 25.0
_FIELDS: Final = {ErrorCode.INVALID_OPTIONS: "options", ErrorCode.NO_VIDEO: "output_format"}


async def plan_job(call: Call) -> web.Response:
    """Say what a job would do: `JobRequest` → 200 `PlannedJob`; 422 if the file can't be converted so."""
    wanted = await read_body(call.request, JobRequest)
    check_wishes(wanted)
    await check_input(call, wanted.input_path)
    question = PlanRequest(input_path=wanted.input_path, output_format=wanted.output_format, options=wanted.options)
    try:
        body = await call.gateway.transcoders.call(topology.PLANS_QUEUE, question.encode(), timeout_s=_PATIENCE_S)
    except NoAnswerError:
        raise Problem(
            503, "No transcoder is free to look at the file. Try again in a minute.", headers={"Retry-After": "60"}
        ) from None
    answer = PlanAnswer.model_validate_json(body)
    if answer.error is not None:
        raise _refusal(answer.error)
    assert answer.plan is not None
    planned = PlannedJob(
        plan=answer.plan,
        warnings=answer.warnings,
        estimated_size=answer.estimated_size,
        estimated_s=answer.estimated_s,
    )
    return json_response(planned.model_dump(mode="json"))


def _refusal(error: JobError) -> Problem:
    if ERRORS[error.code].transient:
        return Problem(503, error.message, headers={"Retry-After": "5"})
    field = _FIELDS.get(error.code, "input_path")
    return Problem(422, error.message, errors=[{"field": field, "message": error.message}])
