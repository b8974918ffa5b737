"""The rule that every reader of events shares."""

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from services.common.jobs import TERMINAL, Status
from services.common.projection import Verdict, changes, judge

STATUS_OF = {
    "job.queued": "QUEUED",
    "job.started": "PROCESSING",
    "job.progress": "PROCESSING",
    "job.retrying": "QUEUED",
    "job.completed": "COMPLETED",
    "job.failed": "FAILED",
    "job.cancelled": "CANCELLED",
}


def event(kind: str, seq: int, attempt: int = 1, **fields: Any) -> dict[str, Any]:
    return {
        "type": f"job.{kind}",
        "job_id": "j",
        "status": STATUS_OF[f"job.{kind}"],
        "seq": seq,
        "attempt": attempt,
        "time": "2026-01-01T00:00:00.000Z",
    } | fields


def job(status: str, seq: int = 5, attempt: int = 1, percent: float | None = None) -> dict[str, Any]:
    return {"status": status, "seq": seq, "attempt": attempt, "progress": {"percent": percent}}


def test_a_job_never_heard_of_is_taken_from_any_event():
    assert judge(None, event("progress", 7)) is Verdict.APPLY


def test_a_second_copy_changes_nothing():
    assert judge(job("PROCESSING", seq=7), event("progress", 7)) is Verdict.DUPLICATE


def test_an_overtaken_event_changes_nothing():
    assert judge(job("PROCESSING", seq=7), event("started", 2)) is Verdict.DUPLICATE


def test_processing_does_not_go_back_to_queued_within_an_attempt():
    assert judge(job("PROCESSING"), event("queued", 9)) is Verdict.DUPLICATE


def test_a_superseded_attempt_is_stale_even_with_an_outcome():
    assert judge(job("PROCESSING", attempt=2), event("completed", 99, attempt=1)) is Verdict.STALE


def test_an_outcome_counts_whatever_its_number():
    assert judge(job("PROCESSING", seq=50), event("completed", 3)) is Verdict.APPLY


def test_terminal_stays_terminal():
    for status in TERMINAL:
        for kind in ("started", "progress", "retrying", "completed", "failed", "cancelled"):
            assert judge(job(status), event(kind, 99)) is Verdict.ENDED
            assert judge(job(status), event(kind, 99, attempt=2)) is Verdict.ENDED


def test_only_a_new_attempt_reopens_a_job_that_ended():
    assert judge(job("FAILED"), event("queued", 99, attempt=2)) is Verdict.APPLY
    assert judge(job("FAILED"), event("queued", 99, attempt=1)) is Verdict.ENDED


def test_a_started_that_overtook_its_retrying_opens_the_attempt():
    assert judge(job("PROCESSING", seq=50), event("started", 2, attempt=2)) is Verdict.APPLY


def test_percent_never_falls_within_an_attempt():
    fields = changes(job("PROCESSING", percent=40.0), event("progress", 9, progress={"percent": 12.0, "fps": 30.0}))
    assert fields["progress"] == {"percent": 40.0, "fps": 30.0}


def test_percent_begins_anew_with_a_new_attempt():
    new = event("progress", 9, attempt=2, progress={"percent": 12.0})
    assert changes(job("PROCESSING", percent=40.0), new)["progress"] == {"percent": 12.0}


def test_unknown_percent_does_not_hide_a_known_one():
    fields = changes(job("PROCESSING", percent=40.0), event("progress", 9, progress={"percent": None}))
    assert fields["progress"]["percent"] == 40.0


def test_fields_that_are_not_the_jobs_are_left_out():
    assert "tenant" not in changes(job("QUEUED"), event("started", 9, tenant="a", nonsense=1))


_events = st.builds(
    event,
    st.sampled_from([kind.removeprefix("job.") for kind in STATUS_OF]),
    st.integers(0, 60),
    st.integers(1, 4),
)


@given(st.lists(_events, max_size=40))
def test_whatever_comes_states_only_move_legally(events: list[dict[str, Any]]):
    state: dict[str, Any] | None = None
    for one in events:
        if judge(state, one) is not Verdict.APPLY:
            continue
        if state is not None:
            assert (one["attempt"], one["seq"] if one["attempt"] > state["attempt"] else state["seq"]) >= (
                state["attempt"],
                0,
            )
            if Status(state["status"]) in TERMINAL:
                assert one["type"] == "job.queued"
                assert one["attempt"] > state["attempt"]
        before = state
        state = {"progress": {}} | (state or {}) | changes(state, one)
        if before is not None and before["attempt"] == state["attempt"]:
            assert state["seq"] > before["seq"]


@given(st.lists(_events, min_size=1, max_size=20))
def test_delivering_everything_twice_changes_nothing(events: list[dict[str, Any]]):
    def final(stream: list[dict[str, Any]]) -> dict[str, Any] | None:
        state: dict[str, Any] | None = None
        for one in stream:
            if judge(state, one) is Verdict.APPLY:
                state = {"progress": {}} | (state or {}) | changes(state, one)
        return state

    doubled = [copy for one in events for copy in (one, one)]
    once, twice = final(events), final(doubled)
    assert once is not None
    assert twice is not None
    assert (once["status"], once["attempt"]) == (twice["status"], twice["attempt"])
