"""Jobs in limbo: set going again, or ended with a reason."""

from typing import Any

import pytest
from sqlalchemy import insert
from sqlalchemy.engine import Connection

from services.common.errors import ERRORS, ErrorCode
from services.common.messages import WorkMessage
from services.gateway.dead import first_death, read_dead
from services.gateway.store.actions import IllegalTransitionError
from services.gateway.store.dead import Letter, UnknownLetterError, bury, redrive
from services.gateway.store.reads import list_dead
from services.gateway.store.schema import outbox
from services.gateway.store.sweeping import (
    Suspect,
    find_overtaken,
    find_silent,
    find_waiting,
    requeue_waiting,
    restart_silent,
)
from services.gateway.store.writer import perform
from tests.unit.gateway.gateway_rows import EARLIER, LATER, THEN, get, job, put, sent


def test_a_silent_job_gets_a_new_attempt(conn: Connection) -> None:
    put(conn, job(status="PROCESSING", stage="transcoding", updated_at=EARLIER, progress={"percent": 5.0}))
    assert find_silent(conn, THEN, 10) == ["job-1"]
    assert perform(conn, restart_silent, Suspect("job-1", THEN, max_retries=3)) == [True]
    state = get(conn)
    assert (state["status"], state["attempt"], state["retries"], state["stage"]) == ("QUEUED", 2, 1, None)
    stop, work, queued = (message for _, message in sent(conn))
    assert (stop["reason"], stop["attempt"]) == ("superseded", 1)
    assert (work["attempt"], work["retries"], queued["attempt"]) == (2, 1, 2)
    assert find_silent(conn, THEN, 10) == []


def test_a_silent_job_that_has_used_its_attempts_up_fails(conn: Connection) -> None:
    put(conn, job(status="PROCESSING", updated_at=EARLIER, attempt=4, retries=3))
    perform(conn, restart_silent, Suspect("job-1", THEN, max_retries=3))
    state = get(conn)
    assert (state["status"], state["error"]["code"]) == ("FAILED", "worker_lost")
    assert [message.get("type", "stop") for _, message in sent(conn)] == ["stop", "job.failed"]


def test_a_job_that_was_heard_of_meanwhile_is_left_alone(conn: Connection) -> None:
    put(conn, job(status="PROCESSING", updated_at=LATER))
    assert perform(conn, restart_silent, Suspect("job-1", THEN, max_retries=3)) == [False]
    assert sent(conn) == []


def test_a_job_whose_message_has_vanished_is_sent_again_as_the_same_attempt(conn: Connection) -> None:
    put(conn, job(queued_at=EARLIER))
    assert find_waiting(conn, THEN, 10) == ["job-1"]
    assert perform(conn, requeue_waiting, Suspect("job-1", THEN)) == [True]
    [(exchange, message)] = sent(conn)
    assert (exchange, message["attempt"]) == ("video.jobs", 1)
    assert find_waiting(conn, THEN, 10) == []


def test_a_job_whose_message_is_still_in_the_outbox_has_not_lost_it(conn: Connection) -> None:
    put(conn, job(queued_at=EARLIER))
    conn.execute(insert(outbox).values(exchange="e", routing_key="k", body=b"", created_at=EARLIER))
    assert find_waiting(conn, THEN, 10) == []


def test_a_job_that_later_ones_have_overtaken_has_lost_its_message(conn: Connection) -> None:
    put(
        conn,
        job("lost", queued_at=EARLIER),
        job("resting", queued_at=EARLIER, retries=1),
        job("next", queued_at=THEN),
        job("begun", status="PROCESSING", queued_at=THEN),
    )
    assert find_overtaken(conn, 60, 10) == ["lost", "resting"]
    assert find_overtaken(conn, 7200, 10) == []


def test_a_job_that_rests_before_its_next_attempt_is_overtaken_rightly(conn: Connection) -> None:
    resting = "2026-11-24T22:55:00.000Z"
    put(
        conn,
        job("resting", queued_at=resting, retries=1),
        job("begun", status="PROCESSING", queued_at=THEN),
    )
    assert find_overtaken(conn, 60, 10) == []


def work(**fields: Any) -> Any:
    message = WorkMessage(
        job_id="job-1",
        input_path="uploads/a.avi",
        output_format="mp4",
        output_path="processed/a.mp4",
    )
    return message.model_copy(update=fields).encode()


def test_a_dead_letter_ends_its_job(conn: Connection) -> None:
    put(conn, job())
    perform(conn, bury, read_dead(work(), "job.requested.mp4", {}))
    state = get(conn)
    assert state["status"] == "FAILED"
    assert state["error"] == {"code": "worker_lost", "message": ERRORS[ErrorCode.WORKER_LOST].message}
    assert [message["type"] for _, message in sent(conn)] == ["job.failed"]


def test_a_dead_letter_of_an_earlier_attempt_does_not(conn: Connection) -> None:
    put(conn, job(attempt=2))
    perform(conn, bury, read_dead(work(), "job.requested.mp4", {}))
    assert get(conn)["status"] == "QUEUED"


def test_an_attempt_that_came_of_redeliveries_is_the_messages_own(conn: Connection) -> None:
    put(conn, job(status="PROCESSING", attempt=3))
    perform(conn, bury, read_dead(work(), "job.requested.mp4", {"x-delivery-count": 2}))
    assert get(conn)["status"] == "FAILED"


def test_a_dead_letter_of_a_job_never_heard_of_makes_it_known(conn: Connection) -> None:
    perform(conn, bury, read_dead(work(tenant="acme"), "job.requested.mp4", {}))
    assert (get(conn)["status"], get(conn)["tenant"]) == ("FAILED", "acme")


@pytest.mark.parametrize("body", [b"{", b"null", b"[1]", b'{"job_id":7}', b'{"job_id":"../x"}', b"\xff\0"])
def test_a_message_that_says_nothing_is_kept_all_the_same(conn: Connection, body: bytes) -> None:
    perform(conn, bury, read_dead(body, "job.requested.mp4", {}))
    [letter] = list_dead(conn, "default", 10, None)
    assert (letter["reason"], letter["job_id"], letter["body"]) == ("bad_message", None, body)


def test_a_message_that_says_only_whose_it_is_ends_that_job(conn: Connection) -> None:
    put(conn, job())
    perform(conn, bury, read_dead(b'{"job_id":"job-1"}', "job.requested.mp4", {}))
    assert get(conn)["error"]["code"] == "bad_message"


def test_redrive_opens_a_new_attempt_once(conn: Connection) -> None:
    put(conn, job())
    perform(conn, bury, read_dead(work(), "job.requested.mp4", {}))
    [letter] = list_dead(conn, "default", 10, None)
    assert perform(conn, redrive, Letter("default", letter["id"])) == [None]
    assert (get(conn)["status"], get(conn)["attempt"]) == ("QUEUED", 2)
    [again] = perform(conn, redrive, Letter("default", letter["id"]))
    assert isinstance(again, IllegalTransitionError)


def test_redrive_of_a_message_without_a_job_sends_it_as_it_was(conn: Connection) -> None:
    perform(conn, bury, read_dead(b"{", "job.requested.mp4", {}))
    [letter] = list_dead(conn, "default", 10, None)
    perform(conn, redrive, Letter("default", letter["id"]))
    row = conn.execute(outbox.select()).mappings().one()
    assert (row["exchange"], row["routing_key"], row["body"]) == ("video.jobs", "job.requested.mp4", b"{")


def test_somebody_elses_dead_letter_is_unknown(conn: Connection) -> None:
    perform(conn, bury, read_dead(work(tenant="acme"), "job.requested.mp4", {}))
    [letter] = list_dead(conn, "acme", 10, None)
    [result] = perform(conn, redrive, Letter("default", letter["id"]))
    assert isinstance(result, UnknownLetterError)


def test_the_broker_says_why() -> None:
    assert first_death({"x-death": [{"reason": "delivery_limit"}]}) == "delivery_limit"
    assert first_death({}) == first_death({"x-death": "?"}) == "unknown"
