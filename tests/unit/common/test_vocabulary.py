"""Messages, numbers, keys, tickets, settings and logs: the small things all services agree on."""

from datetime import UTC, datetime, timedelta
from email.message import Message as MailMessage
from urllib.parse import unquote

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from services.common import keys, tickets, topology
from services.common.errors import ERRORS, ErrorCode
from services.common.jobs import now, timestamp
from services.common.logs import redact
from services.common.messages import EVENTS, Cancelled, Queued, WorkMessage, event_routing_key
from services.common.sequence import MAX_EVENTS_PER_SECOND, seq_after
from services.common.settings import CommonSettings, SettingsError, load, parse_seconds, parse_size
from services.common.storage import content_disposition

FOUR_FIELDS = {
    "job_id": "550e8400-e29b-41d4-a716-446655440000",
    "input_path": "uploads/source_video.avi",
    "output_format": "mp4",
    "output_path": "processed/final_video.mp4",
}


def test_four_fields_are_enough_for_a_work_message():
    work = WorkMessage.model_validate(FOUR_FIELDS)
    assert (work.tenant, work.attempt, work.options, work.deliveries) == ("default", 1, {}, 0)
    assert WorkMessage.model_validate_json(work.encode()) == work


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("job_id", "../../etc"),
        ("job_id", ""),
        ("output_format", "mp4 -i /etc/passwd"),
        ("output_format", "../x"),
        ("tenant", "a.b"),
        ("attempt", 0),
    ],
)
def test_a_work_message_refuses(field: str, value: object):
    with pytest.raises(ValidationError):
        WorkMessage.model_validate(FOUR_FIELDS | {field: value})


def test_readers_ignore_fields_that_were_added_later():
    assert WorkMessage.model_validate(FOUR_FIELDS | {"added": 1}).job_id == FOUR_FIELDS["job_id"]


def test_events_survive_the_wire_and_say_what_they_are():
    event = Cancelled(job_id="a", tenant="t", seq=3, time=now(), finished_at=now())
    assert EVENTS.validate_json(event.encode()) == event
    assert orjson.loads(event.encode())["type"] == "job.cancelled"
    assert event_routing_key(event) == "job.cancelled.t.a"


def test_a_queued_event_resets_what_the_last_attempt_left():
    event = orjson.loads(
        Queued(job_id="a", seq=1, time=now(), input_path="i", output_format="mp4", output_path="o").encode()
    )
    for field in ("error", "plan", "started_at", "finished_at", "stage"):
        assert event[field] is None
    assert event["warnings"] == event["outputs"] == []
    assert event["progress"]["percent"] is None


def test_times_are_utc_with_milliseconds():
    moment = datetime(2026, 11, 24, 23, 0, 0, 7000, tzinfo=UTC)
    assert timestamp(moment) == "2026-11-24T23:00:00.007Z"


@given(st.integers(0, 10**6), st.floats(0, 10**6))
def test_a_successor_numbers_above_all_its_predecessor_can_have_used(seq: int, elapsed: float):
    since = datetime(2026, 1, 1, tzinfo=UTC)
    moment = since + timedelta(seconds=elapsed)
    assert seq_after(seq, since, moment) > seq + int((moment - since).total_seconds() * MAX_EVENTS_PER_SECOND)


def test_a_clock_that_went_back_still_numbers_upwards():
    since = datetime(2026, 1, 1, tzinfo=UTC)
    assert seq_after(7, since, since - timedelta(hours=1)) == 8
    assert seq_after(7, None, since) == 8


def test_every_error_code_has_a_sentence():
    assert set(ERRORS) == set(ErrorCode)
    assert all(kind.message.endswith(".") for kind in ERRORS.values())


def test_every_queue_is_bound_to_an_exchange_that_exists():
    for queue in topology.QUEUES:
        assert all(exchange in topology.EXCHANGES for exchange, _ in queue.bindings)
    assert topology.retry_delay(1) == topology.RETRY_DELAYS_S[0]
    assert topology.retry_delay(99) == topology.RETRY_DELAYS_S[-1]


def test_upload_keys_belong_to_their_tenant():
    assert keys.owner_of_upload(keys.upload_key("default", "holiday.AVI")) == "default"
    assert keys.owner_of_upload(keys.upload_key("acme", "x.mp4")) == "acme"
    assert keys.upload_key("default", "holiday.AVI").endswith(".avi")


@pytest.mark.parametrize("name", ["-x.mp4", "%d", "http:a.mp4", "a" * 300, "\0", "🎬", "a.b c", "x.m/p4", ".mp4 "])
def test_no_user_text_reaches_an_upload_key(name: str):
    key = keys.upload_key("default", name)
    assert keys.owner_of_upload(key) == "default"
    assert len(key) < 64


@pytest.mark.parametrize(
    "key",
    [
        "uploads/../x.mp4",
        "uploads/%2e%2e%2fx",
        "/uploads/x",
        "processed/x.mp4",
        "uploads/",
        "uploads/a/b/c",
        "uploads/..",
    ],
)
def test_what_is_not_plainly_an_upload_is_nobodys(key: str):
    assert keys.owner_of_upload(key) is None


def test_a_ticket_is_good_for_its_tenant_and_its_time():
    secret = "s" * 32
    assert tickets.verify(secret, tickets.issue(secret, "acme", 60)[0]) == "acme"
    for bad in (tickets.issue(secret, "acme", -1)[0], tickets.issue("t" * 32, "acme", 60)[0], "", "a.b.c"):
        with pytest.raises(tickets.InvalidTicketError):
            tickets.verify(secret, bad)


@pytest.mark.parametrize(
    ("text", "size"), [("500MB", 500_000_000), ("2GiB", 2 << 30), ("1234", 1234), ("1.5 kb", 1500), ("1GB", 10**9)]
)
def test_sizes(text: str, size: int):
    assert parse_size(text) == size


@pytest.mark.parametrize(("text", "seconds"), [("90", 90), ("90s", 90), ("15m", 900), ("2h", 7200), ("250ms", 0.25)])
def test_seconds(text: str, seconds: float):
    assert parse_seconds(text) == seconds


def test_all_that_is_wrong_is_said_at_once_and_no_value_repeated(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("MAX_UPLOAD_SIZE", "much-secret")
    monkeypatch.setenv("S3_ENDPOINT", "localhost:9000")
    with pytest.raises(SettingsError) as caught:
        load(CommonSettings)
    assert "MAX_UPLOAD_SIZE" in str(caught.value)
    assert "S3_ENDPOINT" in str(caught.value)
    assert "much-secret" not in str(caught.value)


def test_credentials_in_urls_are_not_logged():
    text = "GET http://u:pw@h/v?X-Amz-Credential=AK&X-Amz-Signature=abc&ticket=t.t.t amqp://guest:guest@h/"
    cleaned = redact(text)
    for secret in ("pw", "AK", "abc", "t.t.t", "guest"):
        assert secret not in cleaned


@pytest.mark.parametrize(
    "name", ['a"b.mp4', "a\r\nSet-Cookie: x.mp4", "电影.mp4", "🎬" * 100, "a;b\\c%41.mp4", "plain.mp4"]
)
def test_any_name_makes_one_safe_header_and_comes_back(name: str):
    header = content_disposition(name)
    assert header.isascii()
    assert "\r" not in header
    assert "\n" not in header
    assert unquote(header.partition("filename*=UTF-8''")[2]) == name
    plain = MailMessage()
    plain["Content-Disposition"] = header
    assert plain.get_filename()  # readers that know nothing of RFC 5987 still find a name
