"""What the gateway sends is what the models of the wire say."""

from typing import Any

import orjson
import pytest

from services.common.formats import FORMATS
from services.common.messages import EVENTS, CancelMessage, WorkMessage
from services.common.options import Options, check
from services.gateway import outgoing
from services.gateway.store.rows import blank, encode, new_row
from tests.unit.gateway.gateway_rows import LATER, THEN, job

OPTIONS = {"quality": "best", "trim": {"start_s": 1.0}}
JOBS = [job(), job(filename=None, attempt=3, retries=2, seq=77, options=OPTIONS, tenant="acme")]


@pytest.mark.parametrize("state", JOBS)
@pytest.mark.parametrize("form", [dict, encode])
def test_work(state: dict[str, Any], form: Any) -> None:
    message = orjson.dumps(outgoing.work(form(state)))
    read = WorkMessage.model_validate_json(message).model_dump(mode="json")
    assert orjson.loads(message).items() <= read.items()
    assert read["options"] == state["options"]


@pytest.mark.parametrize("state", JOBS)
@pytest.mark.parametrize("form", [dict, encode])
def test_queued(state: dict[str, Any], form: Any) -> None:
    message = orjson.dumps(outgoing.queued(form(state)))
    assert orjson.loads(message) == EVENTS.validate_json(message).model_dump(mode="json")


@pytest.mark.parametrize(
    "state",
    [
        job(status="CANCELLED", finished_at=LATER),
        job(status="FAILED", finished_at=LATER, error={"code": "worker_lost", "message": "…"}),
    ],
)
def test_ended(state: dict[str, Any]) -> None:
    message = outgoing.ended(state)
    read = EVENTS.validate_python(message).model_dump(mode="json")
    assert message.items() <= read.items()
    assert read["status"] == state["status"]


def test_stop() -> None:
    message = outgoing.stop("job-1", 2, "superseded", THEN)
    assert CancelMessage.model_validate(message).model_dump(mode="json") == message


def test_a_new_row_is_a_blank_one_encoded() -> None:
    assert new_row(OPTIONS, job_id="a") == encode(blank(options=OPTIONS, job_id="a"))
    assert new_row({}, job_id="a") == encode(blank(job_id="a"))


@pytest.mark.parametrize("name", FORMATS)
def test_every_format_can_be_made_without_a_wish(name: str) -> None:
    assert check(name, Options()) == []
