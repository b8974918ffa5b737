"""The live gateway held to its own OpenAPI document: no 5xx, no undocumented answer, whatever is sent."""

from dataclasses import dataclass

import pytest
import pytest_asyncio
import schemathesis
from hypothesis import HealthCheck, settings
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from services.gateway.openapi import document
from tests.integration.gateway_world import Api
from tests.stack import Stack

DOCUMENT = document()
SCHEMA = schemathesis.openapi.from_dict(DOCUMENT)
CONFORMANCE = [status_code_conformance, content_type_conformance, response_schema_conformance]


@dataclass(frozen=True)
class Known:
    """A gateway, and what there is in it."""

    url: str
    job_id: str
    input_path: str
    upload_id: str
    key: str


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def known(own_stack: Stack) -> Known:
    await own_stack.start("gateway")
    async with Api(own_stack.gateway_url) as api:
        job = await api.submit()
        _, begun, _ = await api.post("/s3/multipart", json={"filename": "a.mov", "type": "video/quicktime"})
    return Known(own_stack.gateway_url, job["job_id"], job["input_path"], begun["uploadId"], begun["key"])


def about_something(case: schemathesis.Case, known: Known) -> None:
    """Have the call be about what there is, as far as it is about anything: a random id would only ever be unknown."""
    if case.query:
        case.query.pop("wait", None)  # nothing changes here, and waiting for that is tested elsewhere
    if "job_id" in case.path_parameters:
        case.path_parameters["job_id"] = known.job_id
    if "upload_id" in case.path_parameters:
        case.path_parameters["upload_id"] = known.upload_id
        case.query["key"] = known.key
    if isinstance(case.body, dict) and "input_path" in case.body:
        case.body["input_path"] = known.input_path


@pytest.mark.parametrize("targeted", [False, True], ids=["anything", "something"])
@SCHEMA.parametrize()
@settings(max_examples=20, deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck))
def test_answers_are_as_documented(case: schemathesis.Case, known: Known, *, targeted: bool) -> None:
    if targeted:
        about_something(case, known)
    # Forms for uploads need a store that takes them, and a plan needs a transcoder: 5xx is the documented answer.
    checks = CONFORMANCE if case.path in {"/s3/params", "/jobs/plan"} else [not_a_server_error, *CONFORMANCE]
    case.call_and_validate(base_url=known.url, checks=checks)
