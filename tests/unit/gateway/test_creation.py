"""New jobs and the answers to their Idempotency-Keys."""

from typing import Any

import orjson
from sqlalchemy import Table, func, insert, select
from sqlalchemy.engine import Connection

from services.common.messages import EVENTS, WorkMessage
from services.gateway.store.creation import Key, KeyReusedError, Made, NewJob, create_jobs
from services.gateway.store.rows import encode, render
from services.gateway.store.schema import idempotency, jobs, uploads
from services.gateway.store.writer import perform
from tests.unit.gateway.gateway_rows import EARLIER, LATER, THEN, get, job, sent


def new(job_id: str = "job-1", key: Any = None, fingerprint: str = "f", expired: str = EARLIER, **fields: Any) -> Any:
    state = job(job_id, **fields)
    return NewJob(encode(state), Key("default", key, fingerprint, expired) if key else None)


def answer(job_id: str = "job-1") -> bytes:
    return orjson.dumps(render(encode(job(job_id))))


def count(conn: Connection, table: Table) -> Any:
    return conn.execute(select(func.count()).select_from(table)).scalar_one()


def test_the_row_and_its_messages_are_one(conn: Connection) -> None:
    options = {"quality": "best"}
    perform(conn, create_jobs, new(options=options))
    assert get(conn) == job(options=options)
    (first, work), (second, queued) = sent(conn)
    assert (first, second) == ("video.jobs", "video.events")
    message = WorkMessage.model_validate(work)
    assert (message.job_id, message.attempt, message.seq, message.options) == ("job-1", 1, 1, options)
    event = EVENTS.validate_python(queued)
    assert event.type == "job.queued"
    assert event.seq == 1


def test_the_same_key_and_request_give_the_same_answer(conn: Connection) -> None:
    first, again = new(key="k"), new("job-2", key="k")
    assert perform(conn, create_jobs, first) == [Made(answer())]
    assert perform(conn, create_jobs, again) == [Made(answer(), replayed=True)]
    assert count(conn, jobs) == 1
    assert len(sent(conn)) == 2


def test_even_at_the_same_moment(conn: Connection) -> None:
    first, again = new(key="k"), new("job-2", key="k")
    assert perform(conn, create_jobs, first, again) == [Made(answer()), Made(answer(), replayed=True)]
    assert count(conn, jobs) == 1


def test_the_same_key_for_another_request_is_refused(conn: Connection) -> None:
    perform(conn, create_jobs, new(key="k"))
    [result] = perform(conn, create_jobs, new("job-2", key="k", fingerprint="g"))
    assert isinstance(result, KeyReusedError)
    assert count(conn, jobs) == 1


def test_keys_are_each_tenants_own(conn: Connection) -> None:
    perform(conn, create_jobs, new(key="k"))
    theirs = NewJob(encode(job("job-2", tenant="acme")), Key("acme", "k", "g", EARLIER))
    assert perform(conn, create_jobs, theirs) == [Made(answer("job-2"))]


def test_a_key_that_is_too_old_counts_no_more(conn: Connection) -> None:
    conn.execute(
        insert(idempotency).values(
            tenant="default", key="k", fingerprint="f", job_id="old", response=b"old", created_at=EARLIER
        )
    )
    fresh = new(key="k", expired=THEN)
    assert perform(conn, create_jobs, fresh) == [Made(answer())]
    assert conn.execute(select(idempotency.c.job_id)).scalars().all() == ["job-1"]


def test_an_upload_that_became_a_job_is_no_longer_open(conn: Connection) -> None:
    keys = ["uploads/job-1.avi", "uploads/other.avi"]
    conn.execute(insert(uploads), [{"key": key, "tenant": "default", "created_at": LATER} for key in keys])
    perform(conn, create_jobs, new())
    assert conn.execute(select(uploads.c.key)).scalars().all() == ["uploads/other.avi"]


def test_a_job_without_a_name_takes_that_of_its_upload(conn: Connection) -> None:
    row = {"key": "uploads/job-1.avi", "tenant": "default", "created_at": LATER, "filename": "Ferien.avi"}
    conn.execute(insert(uploads), [row])
    [made] = perform(conn, create_jobs, new(filename=None))
    assert isinstance(made, Made)
    assert orjson.loads(made.response)["filename"] == get(conn)["filename"] == "Ferien.avi"
    assert [message["filename"] for _, message in sent(conn)] == ["Ferien.avi"] * 2
