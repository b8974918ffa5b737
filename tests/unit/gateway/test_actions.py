"""What users do to jobs: compare-and-set, with the messages that belong to it."""

from typing import Any

import pytest
from sqlalchemy import select
from sqlalchemy.engine import Connection

from services.common.sequence import MAX_EVENTS_PER_SECOND
from services.gateway.store.actions import (
    IllegalTransitionError,
    UnknownJobError,
    Which,
    cancel_jobs,
    delete_jobs,
    retry_jobs,
)
from services.gateway.store.schema import garbage
from services.gateway.store.writer import perform
from tests.unit.gateway.gateway_rows import THEN, get, job, put, sent

WHICH = Which("default", "job-1")


def types(conn: Connection) -> Any:
    return [message.get("type") or message.get("reason", "work") for _, message in sent(conn)]


@pytest.mark.parametrize("status", ["QUEUED", "PROCESSING"])
def test_cancel(conn: Connection, status: str) -> None:
    put(conn, job(status=status))
    [state] = perform(conn, cancel_jobs, WHICH)
    assert state == get(conn)
    assert state["status"] == "CANCELLED"
    assert state["finished_at"] is not None
    assert types(conn) == ["cancelled", "job.cancelled"]


def test_an_event_of_the_gateway_is_numbered_above_what_the_worker_can_have_sent(conn: Connection) -> None:
    put(conn, job(status="PROCESSING", seq=7))
    [state] = perform(conn, cancel_jobs, WHICH)
    assert state["seq"] > 7 + MAX_EVENTS_PER_SECOND


@pytest.mark.parametrize("action", [cancel_jobs, retry_jobs, delete_jobs])
def test_somebody_elses_job_is_unknown(conn: Connection, action: Any) -> None:
    put(conn, job(status="FAILED"))
    before = get(conn)
    for which in (Which("acme", "job-1"), Which("default", "job-2")):
        [result] = perform(conn, action, which)
        assert isinstance(result, UnknownJobError)
    assert get(conn) == before
    assert sent(conn) == []


@pytest.mark.parametrize(
    ("action", "status"),
    [
        (cancel_jobs, "COMPLETED"),
        (cancel_jobs, "FAILED"),
        (cancel_jobs, "CANCELLED"),
        (retry_jobs, "QUEUED"),
        (retry_jobs, "PROCESSING"),
        (retry_jobs, "COMPLETED"),
        (delete_jobs, "PROCESSING"),
    ],
)
def test_illegal_transitions_change_nothing(conn: Connection, action: Any, status: str) -> None:
    put(conn, job(status=status))
    before = get(conn)
    [result] = perform(conn, action, WHICH)
    assert isinstance(result, IllegalTransitionError)
    assert result.status == status
    assert get(conn) == before
    assert sent(conn) == []


def test_of_two_who_cancel_at_once_one_has(conn: Connection) -> None:
    put(conn, job())
    first, second = perform(conn, cancel_jobs, WHICH, WHICH)
    assert first["status"] == "CANCELLED"
    assert isinstance(second, IllegalTransitionError)
    assert types(conn) == ["cancelled", "job.cancelled"]


def test_retry_opens_a_new_attempt(conn: Connection) -> None:
    error = {"code": "stalled", "message": "…"}
    put(conn, job(status="FAILED", error=error, retries=3, seq=9, finished_at=THEN, started_at=THEN))
    [state] = perform(conn, retry_jobs, WHICH)
    assert (state["status"], state["attempt"], state["retries"], state["error"]) == ("QUEUED", 2, 0, None)
    assert state["started_at"] is state["finished_at"] is None
    assert types(conn) == ["work", "job.queued"]
    assert [message["attempt"] for _, message in sent(conn)] == [2, 2]


def test_delete_takes_the_job_and_its_objects_away(conn: Connection) -> None:
    output = {"kind": "poster", "path": "processed/job-1.jpg", "size": 1, "content_type": "image/jpeg"}
    put(conn, job(status="COMPLETED", outputs=[output]))
    perform(conn, delete_jobs, WHICH)
    assert set(conn.execute(select(garbage.c.key)).scalars()) == {
        "processed/job-1.jpg",
        "processed/job-1.mp4",
        "outcomes/job-1.json",
        "uploads/job-1.avi",
    }
    [again] = perform(conn, delete_jobs, WHICH)
    assert isinstance(again, UnknownJobError)


def test_an_input_that_another_job_needs_stays(conn: Connection) -> None:
    put(conn, job(status="FAILED"), job("job-2", input_path="uploads/job-1.avi"))
    perform(conn, delete_jobs, WHICH)
    assert "uploads/job-1.avi" not in set(conn.execute(select(garbage.c.key)).scalars())


def test_what_is_no_upload_of_this_tenant_is_never_removed_as_an_input(conn: Connection) -> None:
    put(conn, job(status="FAILED", input_path="uploads/acme/other.avi"))
    perform(conn, delete_jobs, WHICH)
    assert "uploads/acme/other.avi" not in set(conn.execute(select(garbage.c.key)).scalars())


def test_deleting_a_waiting_job_stops_it(conn: Connection) -> None:
    put(conn, job())
    perform(conn, delete_jobs, WHICH)
    assert types(conn) == ["deleted", "job.cancelled"]
