"""What a line of the logs holds."""

import json
import logging
from collections.abc import Iterator

import pytest
import structlog

from services.common import logs, tracing
from services.common.tracing import Context

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


@pytest.fixture(autouse=True)
def as_before() -> Iterator[None]:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    yield
    structlog.reset_defaults()
    root.handlers[:] = handlers
    root.setLevel(level)


def lines(capfd: pytest.CaptureFixture[str]) -> list[dict[str, object]]:
    return [json.loads(line) for line in capfd.readouterr().err.splitlines()]


def test_a_line_of_ours_and_one_of_a_library_look_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("gateway", style="json")
    with tracing.bound(Context("req-1", GIVEN)):
        logs.get_logger("ours").info("job_created", job_id="j")
        logging.getLogger("theirs").warning("it %s", "happened")
    ours, theirs = lines(capfd)
    for line in (ours, theirs):
        assert (line["trace_id"], line["request_id"]) == ("0af7651916cd43dd8448eb211c80319c", "req-1")
        assert line["service"] == "gateway"
        assert line["timestamp"]
    assert (ours["event"], ours["level"], ours["job_id"]) == ("job_created", "info", "j")
    assert (theirs["event"], theirs["level"]) == ("it happened", "warning")


def test_outside_of_any_request_a_line_names_none(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("gateway", style="json")
    logs.get_logger("ours").info("listening")
    [line] = lines(capfd)
    assert not {"trace_id", "request_id"} & set(line)


def test_what_is_below_the_level_is_not_written(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("gateway", style="json", level="warning")
    logs.get_logger("ours").info("listening")
    logging.getLogger("theirs").info("listening")
    assert lines(capfd) == []


def test_secrets_in_addresses_are_left_out(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("gateway", style="json")
    logs.get_logger("ours").info("asked", url="https://a:b@s3/videos/k?X-Amz-Signature=abc&x=1", plain="token")
    [line] = lines(capfd)
    assert line["url"] == "https://…@s3/videos/k?X-Amz-Signature=…&x=1"
    assert line["plain"] == "token"


def test_what_json_does_not_know_is_written_all_the_same(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("gateway", style="json")
    logs.get_logger("ours").info("odd", number=1 << 70, name="\udcff", thing={1, 2}.__class__)
    [line] = lines(capfd)
    assert line["number"] == 1 << 70
    assert line["thing"] == "<class 'set'>"


def test_an_error_comes_with_its_trace_on_one_line(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("gateway", style="json")
    try:
        int("amqp://user:secret@broker/")
    except ValueError:
        logs.get_logger("ours").exception("failed")
    [line] = lines(capfd)
    assert "amqp://…@broker/" in str(line["exception"])


def test_on_a_terminal_people_read_it(capfd: pytest.CaptureFixture[str]) -> None:
    logs.configure("gateway", style="console")
    logs.get_logger("ours").info("job_created", job_id="j")
    written = capfd.readouterr().err
    assert "job_created" in written
    assert not written.startswith("{")
