"""Events onto rows: idempotent, in order, terminal for good."""

from pathlib import Path
from typing import Any

import orjson
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select
from sqlalchemy.engine import Connection

from services.common.projection import Verdict
from services.gateway.projector import decode
from services.gateway.store.events import apply_events
from services.gateway.store.schema import garbage
from services.gateway.store.writer import perform
from tests.unit.gateway.gateway_rows import LATER, THEN, get, job, make_engine, put, sent


def event(kind: str, *, seq: int, attempt: int = 1, job_id: str = "job-1", **fields: Any) -> dict[str, Any]:
    raw = {"type": f"job.{kind}", "job_id": job_id, "attempt": attempt, "seq": seq, "time": LATER, **_MORE[kind]}
    read = decode(orjson.dumps(raw | fields))
    assert read is not None
    return read


_ABOUT = {"input_path": "uploads/a.avi", "output_format": "mp4", "output_path": "processed/a.mp4"}
_OUTPUT = {"kind": "video", "path": "processed/job-1.mp4", "size": 5, "content_type": "video/mp4"}
_MORE: dict[str, dict[str, Any]] = {
    "started": {**_ABOUT, "started_at": LATER},
    "progress": {"stage": "transcoding", "progress": {"percent": 10.0}},
    "retrying": {"reason": {"code": "stalled", "message": "…"}, "delay_s": 5},
    "completed": {"output_path": "processed/job-1.mp4", "outputs": [_OUTPUT], "finished_at": LATER},
    "failed": {"error": {"code": "not_media", "message": "…"}, "finished_at": LATER},
    "cancelled": {"finished_at": LATER},
}


def apply(conn: Connection, *events: Any) -> Any:
    return perform(conn, apply_events, *events)


def test_a_job_runs_its_course(conn: Connection) -> None:
    put(conn, job())
    verdicts = apply(
        conn,
        event("started", seq=2),
        event("progress", seq=3, progress={"percent": 40.0, "fps": 50.0}),
        event("completed", seq=4),
    )
    assert verdicts == [Verdict.APPLY] * 3
    state = get(conn)
    assert state["status"] == "COMPLETED"
    assert state["progress"]["percent"] == 100.0
    assert state["outputs"] == [_OUTPUT]
    assert state["started_at"] == state["finished_at"] == LATER
    assert state["seq"] == 4
    assert sent(conn) == []


def test_what_a_job_is_about_stays_as_it_was_made(conn: Connection) -> None:
    put(conn, job())
    apply(conn, event("started", seq=2))
    assert get(conn)["input_path"] == "uploads/job-1.avi"
    assert get(conn)["filename"] == "holiday.avi"


@pytest.mark.parametrize("kind", ["started", "progress", "failed", "completed", "retrying", "cancelled"])
def test_terminal_stays_terminal(conn: Connection, kind: str) -> None:
    put(conn, job(status="CANCELLED", seq=9, finished_at=THEN))
    before = get(conn)
    assert apply(conn, event(kind, seq=20)) == [Verdict.ENDED]
    assert get(conn) == before


def test_a_worker_that_does_not_know_that_its_job_is_over_is_told(conn: Connection) -> None:
    put(conn, job(status="CANCELLED", seq=9, finished_at=THEN))
    apply(conn, event("progress", seq=20), event("progress", seq=21), event("completed", seq=22))
    [(exchange, message)] = sent(conn)
    assert exchange == "video.control"
    assert (message["job_id"], message["attempt"], message["reason"]) == ("job-1", 1, "superseded")


def test_events_of_a_superseded_attempt_change_nothing(conn: Connection) -> None:
    put(conn, job(attempt=2, seq=5))
    before = get(conn)
    assert apply(conn, event("completed", seq=99, attempt=1)) == [Verdict.STALE]
    assert get(conn) == before


def test_a_retry_by_the_transcoder_opens_an_attempt_and_counts(conn: Connection) -> None:
    put(conn, job(status="PROCESSING", seq=4, progress={"percent": 70.0}))
    apply(conn, event("retrying", seq=5, attempt=2))
    state = get(conn)
    assert (state["status"], state["attempt"], state["retries"]) == ("QUEUED", 2, 1)
    assert state["progress"]["percent"] is None
    assert state["queued_at"] == LATER


def test_a_job_never_heard_of_is_adopted_when_it_starts(conn: Connection) -> None:
    apply(conn, event("started", seq=1, job_id="foreign", tenant="acme"), event("completed", seq=2, job_id="foreign"))
    state = get(conn, "foreign")
    assert (state["tenant"], state["status"], state["input_path"]) == ("acme", "COMPLETED", "uploads/a.avi")


def test_an_outcome_of_a_job_never_heard_of_is_nothing_to_show(conn: Connection) -> None:
    assert apply(conn, event("completed", seq=2, job_id="foreign")) == [Verdict.STALE]


def test_a_nul_in_a_foreign_name_is_replaced(conn: Connection) -> None:
    apply(conn, event("started", seq=1, job_id="foreign", filename="a\0b"))
    assert get(conn, "foreign")["filename"] == "a\ufffdb"


def test_a_result_that_comes_after_the_deletion_is_collected(conn: Connection) -> None:
    put(conn, job(status="CANCELLED", finished_at=THEN, deleted_at=THEN))
    apply(conn, event("completed", seq=9))
    assert set(conn.execute(select(garbage.c.key)).scalars()) == {"processed/job-1.mp4"}


_KINDS = st.sampled_from(["started", "progress", "retrying", "completed", "failed", "cancelled"])
_EVENTS = st.lists(st.tuples(_KINDS, st.integers(1, 12), st.integers(1, 3), st.floats(0, 100, width=16)), max_size=12)


@given(_EVENTS)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_comes_in_whatever_order_the_row_only_moves_forward(
    tmp_path_factory: pytest.TempPathFactory, drawn: Any
) -> None:
    engine = make_engine(tmp_path_factory.mktemp("db") / "jobs.db")
    with engine.begin() as conn:
        put(conn, job())
        before = get(conn)
        for kind, seq, attempt, percent in drawn:
            more = {"progress": {"percent": percent}} if kind == "progress" else {}
            one = event(kind, seq=seq, attempt=attempt, **more)
            apply(conn, one, one)
            after = get(conn)
            if before["status"] in {"COMPLETED", "FAILED", "CANCELLED"}:
                assert after == before
            assert after["attempt"] >= before["attempt"]
            assert after["seq"] >= before["seq"]
            if after["attempt"] == before["attempt"] and before["progress"]["percent"] is not None:
                assert after["progress"]["percent"] >= before["progress"]["percent"]
            if after != before:
                assert (after["attempt"], after["seq"]) > (before["attempt"], before["seq"])
            before = after
    engine.dispose()


def test_many_at_once_are_as_good_as_one_by_one(tmp_path: Path) -> None:
    events = [
        event("started", seq=2),
        event("progress", seq=3),
        event("progress", seq=5, progress={"percent": 50.0}),
        event("progress", seq=4),
        event("retrying", seq=6, attempt=2),
        event("started", seq=7, attempt=2),
        event("failed", seq=8, attempt=2),
        event("progress", seq=9, attempt=2),
    ]
    states = []
    for name, batches in (("one", [[one] for one in events]), ("many", [events])):
        engine = make_engine(tmp_path / name)
        with engine.begin() as conn:
            put(conn, job())
            for batch in batches:
                apply(conn, *batch)
            states.append(get(conn))
        engine.dispose()
    assert states[0] == states[1]


@pytest.mark.parametrize("attempt", [1, 2])
def test_progress_that_overtakes_the_beginning_of_its_attempt_hides_nothing_of_it(
    conn: Connection, attempt: int
) -> None:
    put(conn, job())
    before = get(conn)
    assert apply(conn, event("progress", seq=4, attempt=attempt)) == [Verdict.EARLY]
    assert get(conn) == before
    apply(conn, event("started", seq=2, attempt=attempt), event("progress", seq=5, attempt=attempt))
    state = get(conn)
    assert (state["attempt"], state["status"], state["started_at"]) == (attempt, "PROCESSING", LATER)
    assert state["progress"]["percent"] == 10.0
    assert sent(conn) == []


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b'{"type":"job.nonsense"}', b'{"type":"job.progress"}', b"\xff"])
def test_what_is_no_event_is_none(body: bytes) -> None:
    assert decode(body) is None
