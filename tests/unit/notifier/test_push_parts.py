"""The small pieces: cursors, frames, history, the book of jobs, the wheel."""

import re
import zlib
from itertools import pairwise
from typing import Any

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.jobs import Job
from services.notifier import frames
from services.notifier.connection import Connection
from services.notifier.cursors import ORIGIN, Cursor, fingerprint, parse
from services.notifier.events import Event, decode
from services.notifier.frames import Flavour
from services.notifier.heartbeats import Wheel
from services.notifier.history import History
from services.notifier.jobs import JobBook, Snapshot
from tests.unit.notifier.push_world import Stream, parse_frames


@given(st.integers(-1, 10**12), st.integers(0, 2**32 - 1))
def test_a_cursor_survives_being_text(offset: int, mark: int):
    text = str(Cursor(offset, mark))
    assert parse(text) == Cursor(offset, mark)
    assert text.isascii()
    assert " " not in text


@given(st.text(max_size=30))
def test_no_text_breaks_the_parser(text: str | None):
    cursor = parse(text)
    assert cursor is None or parse(str(cursor)) == cursor


def test_the_origin_has_a_text_of_its_own():
    assert parse(str(ORIGIN)) == ORIGIN


@pytest.mark.parametrize("size", [0, 1, 125, 126, 127, 65535, 65536, 70000])
def test_a_text_frame_is_what_rfc_6455_says(size: int):
    payload = b"x" * size
    frame = frames.ws_text(payload)
    assert parse_frames(frame) == ([(1, payload)], b"")
    assert frames.ws_payload(frame) == payload


@pytest.mark.parametrize("size", [0, 127, 128, 1000, 100_000])
def test_a_deflated_frame_is_what_rfc_7692_says(size: int):
    payload = (b'{"percent": 42}' * (size // 15 + 1))[:size]
    frame = frames.ws_deflated(payload)
    body = frames.ws_payload(frame)
    if frame[0] & 0x40:
        # A client with context takeover keeps its window over messages that do not refer to it.
        inflate = zlib.decompressobj(wbits=-15)
        for _ in range(2):
            body_again = inflate.decompress(body + b"\x00\x00\xff\xff")
            assert body_again == payload
        assert len(frame) < size
    else:
        assert body == payload


def test_control_frames():
    assert parse_frames(frames.ws_close(1001, "bye")) == ([(8, b"\x03\xe9bye")], b"")
    ((opcode, payload),), _ = parse_frames(frames.ws_close(4400, "x" * 500))
    assert (opcode, len(payload)) == (8, 125)
    assert parse_frames(frames.ws_pong(b"abc")) == ([(10, b"abc")], b"")
    assert parse_frames(frames.WS_PING) == ([(9, b"")], b"")


def test_an_event_of_a_stream():
    assert frames.sse_event(b"{}", "1-2", retry_ms=500) == b"retry: 500\nid: 1-2\ndata: {}\n\n"
    assert frames.encode(Flavour.SSE_CHUNKED, b"{}") == b"a\r\ndata: {}\n\n\r\n"
    assert frames.beat(Flavour.SSE, None) == b": beat\n\n"
    assert frames.beat(Flavour.WS, "1-2") == frames.WS_PING


def make_events(*what: tuple[str, ...]):
    stream = Stream()
    for kind, job, tenant in what:
        stream.publish(kind, job, tenant=tenant)
    return [
        (Cursor(offset, fingerprint(body)), Event(Cursor(offset, fingerprint(body)), decode(body)))
        for offset, body in enumerate(stream.bodies)
    ]


def test_history_finds_what_is_newer_by_tenant_and_by_job():
    history = History(max_bytes=10**6)
    for cursor, event in make_events(*[("progress", f"j{n % 3}", "ab"[n % 2]) for n in range(12)]):
        history.append(cursor, event)
    assert [e.offset for e in history.of_tenant("a", 3)] == [4, 6, 8, 10]
    assert [e.offset for e in history.of_job("a", "j1", 3)] == [4, 10]
    assert history.of_job("b", "j1", 7) == []
    assert history.of_tenant("c", -1) == []


def test_history_is_bounded_and_forgets_the_oldest_everywhere():
    history = History(max_bytes=5000)
    made = make_events(*[("progress", f"j{n}", f"t{n}") for n in range(50)])
    for cursor, event in made:
        history.append(cursor, event)
    assert history.size <= 5000
    assert 40 < history.first < 50
    assert not history.holds(made[0][0])
    assert history.holds(made[49][0])
    assert history.of_tenant("t0", -1) == []
    assert len(history.of_tenant("t49", -1)) == 1


def test_history_knows_a_message_by_its_mark_and_passes_over_what_was_no_event():
    history = History(max_bytes=5000)
    history.append(Cursor(7, 1), None)
    history.append(Cursor(8, 2), None)
    assert history.holds(Cursor(8, 2))
    assert not history.holds(Cursor(8, 3))
    assert not history.holds(Cursor(9, 2))
    assert history.first == 7


def test_history_holds_across_the_offsets_that_the_broker_keeps_to_itself() -> None:
    history = History(max_bytes=5000)
    for offset in (3, 4, 6, 9, 10):
        history.append(Cursor(offset, offset * 7), None)
    assert [offset for offset in range(12) if history.holds(Cursor(offset, offset * 7))] == [3, 4, 6, 9, 10]


def book_of(limit: int, *what: tuple[str, ...], ended_limit: int = 9):
    book, stream = JobBook(limit=limit, ended_limit=ended_limit), Stream()
    for kind, job in what:
        stream.publish(kind, job)
    for offset, body in enumerate(stream.bodies):
        book.apply(decode(body), offset)
    return book


def jobs_of(snapshot: Snapshot):
    return [orjson.loads(job)["job_id"] for job in snapshot.jobs]


def test_the_book_forgets_what_ended_longest_ago_first():
    book = book_of(3, ("started", "a"), ("failed", "b"), ("failed", "c"), ("queued", "d"), ("queued", "e"))
    assert jobs_of(book.snapshot_all("default")) == ["a", "d", "e"]


def test_the_book_stays_bounded_when_nothing_ends():
    book = book_of(3, *[("queued", f"j{n}") for n in range(10)])
    assert len(book) == 3
    assert jobs_of(book.snapshot_all("default")) == ["j7", "j8", "j9"]


def test_a_snapshot_leaves_out_old_ended_jobs_and_says_so():
    jobs = [("queued", "z"), *[("failed", f"j{n}") for n in range(5)]]
    snapshot = book_of(99, *jobs, ended_limit=2).snapshot_all("default")
    assert jobs_of(snapshot) == ["z", "j3", "j4"]
    assert snapshot.truncated
    assert not book_of(99, *jobs, ended_limit=5).snapshot_all("default").truncated


def test_a_job_that_is_tried_again_goes_on():
    book, stream = book_of(9, ("failed", "a"), ended_limit=0), Stream()
    stream.publish("queued", "a", attempt=2)
    book.apply(decode(stream.bodies[0]), 1)
    (job,) = book.snapshot_all("default").jobs
    assert orjson.loads(job)["status"] == "QUEUED"
    assert orjson.loads(job)["error"] is None


def test_a_snapshot_is_made_once_for_each_state_of_the_jobs() -> None:
    book, stream = book_of(9, ("queued", "a")), Stream()
    first = book.snapshot_all("default")
    assert book.snapshot_all("default") is first
    stream.publish("queued", "b", tenant="other")
    book.apply(decode(stream.bodies[0]) or {}, 1)
    assert book.snapshot_all("default") is first
    stream.publish("started", "a", seq=9)
    book.apply(decode(stream.bodies[1]) or {}, 2)
    assert jobs_of(book.snapshot_all("default")) == ["a"]
    assert b"PROCESSING" in book.snapshot_all("default").jobs[0]


@pytest.mark.parametrize("written", ["1795567783", "2026-11-25T01:00:00.123456+02:00", "2026-11-25 01:00:00Z"])
def test_times_are_passed_on_as_the_api_writes_them(written: str) -> None:
    stream = Stream()
    stream.publish("progress", "a")
    fields = decode(orjson.dumps({**orjson.loads(stream.bodies[0]), "time": written}))
    assert fields is not None
    assert re.fullmatch(r"2026-11-2\dT\d\d:\d\d:\d\d\.\d{3}Z", fields["time"])
    Event(Cursor(0, 0), fields)


def test_a_job_looks_as_the_api_shows_it():
    (job,) = book_of(9, ("queued", "a"), ("started", "a"), ("completed", "a")).snapshot("default", ["a", "b"]).jobs
    assert set(orjson.loads(job)) == set(Job.model_fields)
    assert Job.model_validate_json(job).status == "COMPLETED"


@pytest.mark.parametrize(
    "change",
    [
        {"tenant": "NO"},
        {"job_id": "../x"},
        {"seq": -1},
        {"attempt": 0},
        {"time": "yesterday"},
        {"status": "COMPLETED"},
        {"progress": {"percent": "many"}},
        {"type": "job.novel"},
    ],
)
def test_a_message_that_is_no_event_is_not_taken_for_one(change: dict[str, Any]):
    stream = Stream()
    stream.publish("progress", "a")
    assert decode(stream.bodies[0])
    assert decode(orjson.dumps({**orjson.loads(stream.bodies[0]), **change})) is None


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"null", b"\xff\xfe", b"{}"])
def test_rubbish_is_no_event(body: bytes):
    assert decode(body) is None


def test_the_wheel_gives_each_its_turn_once_a_round():
    wheel = Wheel(20.0)
    connections = [Connection(None, "t", Flavour.WS, 1) for _ in range(100)]
    for number, connection in enumerate(connections):
        wheel.due(number * 0.3)
        wheel.add(connection, number * 0.3)
    turns: dict[Connection, list[float]] = {connection: [] for connection in connections}
    now = 30.0
    while now < 120:
        for connection in wheel.due(now):
            turns[connection].append(now)
        now += 0.5
    for times in turns.values():
        gaps = [later - earlier for earlier, later in pairwise(times)]
        assert gaps
        assert all(19.5 <= gap <= 20.5 for gap in gaps)
    for connection in connections:
        wheel.remove(connection)
    assert wheel.next_at is None
