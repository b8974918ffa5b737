"""Requests: what is tried again, what is an error, and what the error says."""

import pytest
from aiohttp import web

from services.client import (
    ApiError,
    Client,
    ConflictError,
    InvalidRequestError,
    NotAllowedError,
    NotFoundError,
    ServerError,
    Status,
    UnreachableError,
)
from tests.unit.client.fake import FakeService, cut, problem


async def test_a_job_is_read_with_fields_that_this_client_does_not_know(fake: FakeService, client: Client) -> None:
    fake.make_job("a", error={"code": "a_code_of_tomorrow", "message": "Do this."}, queue_position=3)
    job = await client.get("a")
    assert job.error is not None
    assert job.error.code == "a_code_of_tomorrow"
    assert job.model_extra == {"queue_position": 3}
    assert (job.status, job.done) == (Status.QUEUED, False)


async def test_a_get_is_repeated_when_the_connection_breaks_or_the_server_is_away(
    fake: FakeService, client: Client
) -> None:
    fake.make_job("a")
    fake.faults["GET /api/jobs/{id}"] = [cut, lambda _: web.Response(status=503)]
    assert (await client.get("a")).job_id == "a"
    assert fake.seen["GET /api/jobs/{id}"] == 3


async def test_an_error_of_the_server_is_raised_with_its_words_when_patience_is_over(fake: FakeService) -> None:
    away = problem(503, "Back in a minute.")
    away.headers["Retry-After"] = "60"
    fake.faults["GET /api/jobs/{id}"] = [lambda _: away]
    async with Client(fake.url, patience_s=5) as client:
        with pytest.raises(ServerError, match="Back in a minute") as caught:
            await client.get("a")
    assert caught.value.retry_after_s == 60


async def test_a_retry_whose_answer_is_lost_is_not_sent_twice(fake: FakeService, client: Client) -> None:
    fake.make_job("a", status="FAILED")
    fake.faults["POST /api/jobs/{id}/retry"] = [cut]
    with pytest.raises(UnreachableError):
        await client.retry("a")
    assert fake.seen["POST /api/jobs/{id}/retry"] == 1


async def test_a_lost_answer_to_a_submission_makes_no_second_job(fake: FakeService, client: Client) -> None:
    fake.objects["uploads/1.avi"] = b"x"
    path = "POST /api/jobs"

    async def do_it_and_cut(request: web.Request) -> None:
        await fake.submit(request)
        cut(request)

    fake.faults[path] = [do_it_and_cut]
    job = await client.submit("uploads/1.avi", "mp4", filename="a.avi")
    assert fake.seen[path] == 2
    assert list(fake.jobs) == [job.job_id]
    keys = {headers["Idempotency-Key"] for name, _, headers, _ in fake.requests if name == path}
    assert len(keys) == 1


async def test_a_submission_still_being_worked_on_is_waited_for(fake: FakeService, client: Client) -> None:
    fake.objects["uploads/1.avi"] = b"x"
    fake.faults["POST /api/jobs"] = [cut, lambda _: problem(409, "This is being worked on.")]
    assert (await client.submit("uploads/1.avi", "mp4")).job_id == "job-1"
    fake.faults["POST /api/jobs"] = [lambda _: problem(409, "This is being worked on.")]
    with pytest.raises(ConflictError):
        await client.submit("uploads/1.avi", "mp4")


async def test_cancelling_and_deleting_bear_a_lost_answer(fake: FakeService, client: Client) -> None:
    fake.make_job("a")
    fake.make_job("b")

    async def cancel_and_cut(request: web.Request) -> None:
        await fake.cancel(request)
        cut(request)

    async def delete_and_cut(request: web.Request) -> None:
        await fake.delete(request)
        cut(request)

    fake.faults["POST /api/jobs/{id}/cancel"] = [cancel_and_cut]
    fake.faults["DELETE /api/jobs/{id}"] = [delete_and_cut]
    assert (await client.cancel("a")).status is Status.CANCELLED
    await client.delete("b")
    with pytest.raises(ConflictError):
        await client.cancel("a")
    with pytest.raises(NotFoundError):
        await client.delete("b")


async def test_what_can_not_be_is_told_field_by_field(fake: FakeService, client: Client) -> None:
    with pytest.raises(InvalidRequestError, match="output_format: Choose one of: mp4, mp3") as caught:
        await client.submit("uploads/1.avi", "xyz")
    assert caught.value.errors == [{"field": "output_format", "message": "Choose one of: mp4, mp3."}]


async def test_the_key_is_sent_and_a_missing_one_is_told(fake: FakeService, client: Client) -> None:
    fake.api_key = "secret"
    with pytest.raises(NotAllowedError, match="Send an API key"):
        await client.formats()
    async with Client(fake.url, "secret") as keyed:
        assert (await keyed.formats()).find("mp4") is not None


async def test_something_else_at_the_address_is_told_as_such(fake: FakeService, client: Client) -> None:
    fake.faults["GET /api/formats"] = [lambda _: web.Response(text="<html>hello</html>")]
    with pytest.raises(ApiError, match="not the conversion service"):
        await client.formats()


@pytest.mark.parametrize(
    ("url", "words"),
    [
        ("http://127.0.0.1:1", "connection refused"),
        ("http://nowhere.invalid", "no such host"),
        ("ftp://x", "that is not an address"),
    ],
)
async def test_a_service_that_is_not_there_is_told_in_words(url: str, words: str) -> None:
    async with Client(url, patience_s=0) as client:
        with pytest.raises(UnreachableError, match=words):
            await client.formats()


async def test_the_list_is_fetched_page_by_page(fake: FakeService, client: Client) -> None:
    for n in range(5):
        fake.make_job(f"j{n}", status="FAILED" if n % 2 else "QUEUED")
    assert [job.job_id async for job in client.list(page_size=2)] == ["j4", "j3", "j2", "j1", "j0"]
    assert fake.seen["GET /api/jobs"] == 3
    assert [job.job_id async for job in client.list(status=Status.FAILED)] == ["j3", "j1"]


async def test_dead_letters_are_fetched_page_by_page(client: Client) -> None:
    assert [letter.id async for letter in client.dead_letters(page_size=2)] == [5, 4, 3, 2, 1]


async def test_a_plan_is_read(client: Client) -> None:
    answer = await client.plan("uploads/1.avi", "mp4", options={"max_height": 720})
    assert answer.plan.streams[0].target == "h264"
    assert (answer.estimated_size, answer.estimated_s) == (1000, 2.5)


async def test_readiness_is_told_also_when_the_answer_is_503(client: Client) -> None:
    assert await client.ready() == {"database": "ok", "broker": "gone"}


async def test_a_client_that_is_not_open_says_how_to_open_it() -> None:
    with pytest.raises(RuntimeError, match="async with"):
        await Client().get("a")
