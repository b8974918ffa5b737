"""The parts of the push client that decide, without any connection."""

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.client.backoff import Patience, backoff
from services.client.push.ladder import Ladder, NotWelcomeError
from services.client.push.ledger import Ledger
from services.client.push.sse_parser import SseEvent, SseParser
from services.client.push.terms import Close, Ending, Transport
from tests.unit.client.fake import NOW, job_fields

WS, SSE, POLL = Transport
LOST = Ending(Close.LOST)


def ladder() -> Ladder:
    return Ladder.of(tuple(Transport), rng=lambda: 0.5)


# --- waiting ---


@given(st.integers(0, 100), st.floats(0, 1))
def test_waits_double_up_to_a_cap_and_are_spread(attempt: int, chance: float) -> None:
    delay = backoff(attempt, lambda: chance, base_s=1, cap_s=30)
    ceiling = min(30, 2**attempt)
    assert ceiling / 2 <= delay <= ceiling


def test_patience_ends_when_nothing_has_gone_well_for_too_long() -> None:
    patience = Patience(10, rng=lambda: 1.0)
    assert patience.wait_after(100.0) == 0.25
    assert patience.wait_after(101.0) == 0.5
    assert patience.wait_after(105.0, retry_after_s=3) == 3
    assert patience.wait_after(109.5) is None
    patience.succeeded()
    assert patience.wait_after(200.0) == 0.25


def test_no_patience_means_one_try() -> None:
    assert Patience(0).wait_after(5.0) is None


def test_a_server_that_asks_for_more_time_than_there_is_patience_ends_it() -> None:
    assert Patience(10).wait_after(0.0, retry_after_s=60) is None


# --- the ladder ---


def test_a_transport_that_fails_twice_makes_way_for_the_next() -> None:
    tries = ladder()
    seen = []
    for _ in range(5):
        seen.append(tries.transport)
        tries.ended(LOST, None)
    assert seen == [WS, WS, SSE, SSE, POLL]


def test_when_all_have_failed_it_rests_and_begins_again() -> None:
    tries = ladder()
    waits = [tries.ended(LOST, None) for _ in range(8)]
    assert tries.failures >= 3
    assert waits[1] == 0  # the next transport is tried at once
    assert max(waits) > 2


def test_after_a_loss_the_best_that_worked_is_opened_again() -> None:
    tries = ladder()
    tries.is_up(SSE)
    assert tries.ended(LOST, 1.0) > 0
    assert tries.transport is SSE


def test_a_feed_that_lasted_resets_the_waits() -> None:
    tries = ladder()
    tries.is_up(WS)
    waits = [tries.ended(LOST, 1.0) for _ in range(5)]
    assert waits == sorted(waits)
    assert tries.ended(LOST, 60.0) == waits[0]


def test_the_servers_wishes_are_kept_with_jitter() -> None:
    tries = ladder()
    assert tries.ended(Ending(Close.TRY_LATER, retry_after_s=60), None) == 60
    tries.is_up(WS)
    assert 2.0 <= tries.ended(Ending(Close.GOING_AWAY, retry_after_s=2.0), 20.0) <= 3.0
    assert tries.ended(Ending(Close.GOING_AWAY), 20.0) > tries.ended(LOST, 20.0)


def test_a_refused_ticket_is_tried_once_more_and_then_it_is_a_refusal() -> None:
    tries = ladder()
    assert tries.ended(Ending(Close.NOT_ALLOWED), None) == 0
    with pytest.raises(NotWelcomeError):
        tries.ended(Ending(Close.NOT_ALLOWED), None)


def test_a_forbidden_transport_is_never_tried_again() -> None:
    tries = ladder()
    tries.ended(Ending(Close.WRONG_ORIGIN), None)
    assert tries.transports == [SSE, POLL]
    tries.ended(Ending(Close.WRONG_ORIGIN), None)
    with pytest.raises(NotWelcomeError):
        tries.ended(Ending(Close.WRONG_ORIGIN), None)


def test_a_better_transport_is_looked_for_soon_where_it_once_worked() -> None:
    never, once = ladder(), ladder()
    never.is_up(POLL)
    once.is_up(WS)
    once.ended(LOST, 1.0)
    for _ in range(2):
        once.ended(LOST, None)
    once.is_up(SSE)
    assert never.better is WS
    assert never.probe_in() >= 10
    assert once.probe_in() <= 2
    assert once.better is WS
    once.is_up(WS)
    assert once.better is None


# --- what is news ---


def event(kind: str, seq: int, *, attempt: int = 1, **fields: object) -> dict[str, object]:
    status = {"progress": "PROCESSING", "completed": "COMPLETED", "queued": "QUEUED", "cancelled": "CANCELLED"}[kind]
    about = {"job_id": "a", "type": f"job.{kind}", "status": status, "attempt": attempt, "seq": seq, "time": NOW}
    return {**about, **fields}


def test_an_event_seen_before_is_no_news() -> None:
    ledger = Ledger()
    assert ledger.take_snapshot(job_fields("a", seq=5)) is not None
    progress = event("progress", 6, stage="transcoding", progress={"percent": 10.0})
    assert ledger.take_event(progress) is not None
    assert ledger.take_event(progress) is None
    assert ledger.take_event(event("progress", 3)) is None
    assert ledger.take_snapshot(job_fields("a", seq=6)) is None


def test_an_end_counts_whatever_its_number_and_nothing_after_it_but_a_retry() -> None:
    ledger = Ledger()
    ledger.take_snapshot(job_fields("a", status="PROCESSING", seq=50))
    assert ledger.take_event(event("completed", 7)) is not None
    assert ledger.all_done(["a"])
    assert ledger.take_event(event("progress", 99)) is None
    assert ledger.take_event(event("cancelled", 99)) is None
    assert ledger.take_snapshot(job_fields("a", status="PROCESSING", seq=100)) is None
    assert ledger.take_event(event("queued", 100, attempt=2)) is not None
    assert not ledger.all_done(["a"])


def test_an_end_of_a_later_attempt_counts_though_its_beginning_was_not_told() -> None:
    ledger = Ledger()
    ledger.take_snapshot(job_fields("a", status="FAILED", seq=50))
    assert ledger.take_event(event("completed", 90, attempt=2)) is not None
    assert ledger.take_event(event("cancelled", 99, attempt=1)) is None


def test_a_snapshot_of_an_end_counts_whatever_its_number() -> None:
    ledger = Ledger()
    ledger.take_snapshot(job_fields("a", status="PROCESSING", seq=50))
    assert ledger.take_snapshot(job_fields("a", status="FAILED", seq=7)) is not None


def test_an_event_of_an_unknown_job_needs_a_base_of_which_only_the_fixed_part_is_taken() -> None:
    ledger = Ledger()
    progress = event("progress", 4, stage="transcoding", progress={"percent": 10.0})
    with pytest.raises(KeyError):
        ledger.take_event(progress)
    now = job_fields("a", status="COMPLETED", seq=9, outputs=[{}], created_at="2026-11-24T22:00:00.000Z")
    told = ledger.take_event(progress, now)
    assert told is not None
    assert (told["status"], told["seq"], told["filename"]) == ("PROCESSING", 4, "a.avi")
    assert told["created_at"] == "2026-11-24T22:00:00.000Z"
    assert "outputs" not in told
    assert ledger.take_snapshot(now) is not None


def test_ended_jobs_are_forgotten_first_when_there_are_too_many() -> None:
    ledger = Ledger(limit=2)
    for job_id, status in (("a", "QUEUED"), ("b", "COMPLETED"), ("c", "QUEUED")):
        ledger.take_snapshot(job_fields(job_id, status=status))
    assert ledger.get("b") is None
    assert ledger.get("a") is not None
    ledger.take_snapshot(job_fields("d"))
    assert ledger.get("a") is None


# --- event streams ---

STREAM = (
    "retry: 1500\nid: 1\ndata: {}\n\n: beat\nid: 7\n\nevent: x\r\ndata: a\r\ndata: ö\r\n\r\nunknown\ndata:b\r\r: c\n\n"
).encode()
EVENTS = [
    SseEvent("message", "{}", "1", 1.5),
    SseEvent("message", "", "7"),
    SseEvent("x", "a\nö", None),
    SseEvent("message", "b", None),
]


@given(st.lists(st.integers(1, len(STREAM) - 1), max_size=12))
def test_a_stream_is_read_the_same_however_it_is_cut(cuts: list[int]) -> None:
    parser, found = SseParser(), []
    edges = [0, *sorted(set(cuts)), len(STREAM)]
    for start, end in itertools.pairwise(edges):
        found += parser.push(STREAM[start:end])
    assert found == EVENTS
