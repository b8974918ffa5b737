"""The push channel over real sockets and a real broker: watching, coming back, being turned away."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import aiohttp
import pytest
import pytest_asyncio

from services.common import tickets
from tests.conftest import NewStack
from tests.integration.push_client import (
    Publisher,
    another_notifier,
    connected,
    listening,
    metric,
    publishing,
)
from tests.stack import Stack, eventually


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def publisher(own_stack: Stack) -> AsyncIterator[Publisher]:
    await own_stack.start("notifier")
    async with publishing(own_stack) as publisher:
        yield publisher


def new_job() -> str:
    return str(uuid.uuid4())


async def status_of(url: str, method: str = "GET", **headers: str) -> tuple[int, str, dict[str, str]]:
    async with aiohttp.ClientSession() as session, session.request(method, url, headers=headers) as response:
        return response.status, response.content_type, dict(response.headers)


@pytest.mark.parametrize("compressed", [False, True])
async def test_a_job_is_watched_live_through_the_front_door(
    own_stack: Stack, publisher: Publisher, compressed: bool
) -> None:
    job = new_job()
    query, options = ("?compress=1", {"compress": 15}) if compressed else ("", {})
    async with connected(own_stack.url, query=query, **options) as client:
        assert bool(client.websocket.compress) is compressed
        answer = await client.subscribe(job)
        assert (answer["jobs"], answer["recovered"]) == ([], False)
        await publisher.publish("queued", job, filename="löwe 😀.avi" * 20)
        await publisher.publish("started", job)
        for percent in range(10):
            await publisher.publish("progress", job, percent=percent)
        await publisher.publish("completed", job)
        await client.until("job.completed")
        assert [e["seq"] for e in client.events] == list(range(1, 14))
        assert client.events[0]["filename"] == "löwe 😀.avi" * 20
        assert len({e["cursor"] for e in client.events}) == 13


@pytest.mark.parametrize("door", ["front door", "notifier"])
async def test_the_same_as_server_sent_events(own_stack: Stack, publisher: Publisher, door: str) -> None:
    url = own_stack.url if door == "front door" else own_stack.notifier_url
    job = new_job()
    await publisher.publish("queued", job)
    async with listening(url, f"?job_id={job}") as source:
        assert source.response.headers["Content-Type"].startswith("text/event-stream")
        first = await source.until("subscribed")
        assert first["jobs"][0]["status"] == "QUEUED"
        assert source.retry_ms
        await publisher.publish("started", job)
        event = await source.until("job.started")
        assert event["id"] == event["cursor"]
        last = source.last_event_id
    await publisher.publish("completed", job)
    async with listening(url, f"?job_id={job}", **{"Last-Event-ID": last}) as source:
        assert (await source.until("subscribed"))["recovered"] is True
        await source.until("job.completed")
        assert [m["type"] for m in source.messages] == ["subscribed", "job.completed"]


async def test_a_client_that_has_just_gone_takes_nobodys_events_with_it(own_stack: Stack, publisher: Publisher) -> None:
    job = new_job()
    await publisher.publish("queued", job)
    async with listening(own_stack.notifier_url, f"?job_id={job}") as staying:
        await staying.until("subscribed")
        async with AsyncExitStack() as leaving:
            for _ in range(20):
                source = await leaving.enter_async_context(listening(own_stack.notifier_url, f"?job_id={job}"))
                await source.until("subscribed")
        await publisher.publish("started", job)
        await staying.until("job.started")
        await publisher.publish("completed", job)
        await staying.until("job.completed")


async def test_an_http_1_0_client_gets_its_events_unchunked(own_stack: Stack, publisher: Publisher) -> None:
    job = new_job()
    await publisher.publish("queued", job)
    port = own_stack.settings.notifier_port
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(f"GET /events?job_id={job} HTTP/1.0\r\nHost: 127.0.0.1\r\n\r\n".encode())
    async with asyncio.timeout(30):
        head = await reader.readuntil(b"\r\n\r\n")
        assert b"chunked" not in head.lower()
        assert (await reader.readline()).startswith(b"retry: ")
    writer.close()


async def test_the_event_just_after_the_cut_arrives_at_another_instance(own_stack: Stack, publisher: Publisher) -> None:
    job = new_job()
    async with another_notifier(own_stack) as (other, _):
        async with connected(own_stack.notifier_url) as client:
            await client.subscribe(job)
            await publisher.publish("started", job)
            await client.until("job.started")
            client.websocket._response.connection.transport.abort()  # type: ignore[union-attr]
            await client.ended.wait()
        await publisher.publish("completed", job)
        async with connected(other) as client_again:
            answer = await client_again.subscribe(job, after=client.cursor)
            assert answer["recovered"] is True
            await client_again.until("job.completed")
            assert [e["type"] for e in client_again.events] == ["job.completed"]


async def test_what_memory_no_longer_has_is_replayed_from_the_stream(own_stack: Stack, publisher: Publisher) -> None:
    mine, filler = new_job(), new_job()
    async with another_notifier(own_stack, PUSH_HISTORY="50KB") as (url, _):
        async with connected(url) as client:
            await client.subscribe(mine)
            await publisher.publish("started", mine)
            await client.until("job.started")
            after = client.cursor
        await publisher.publish_many(1000, "progress", lambda _: filler)
        await publisher.publish("progress", mine, percent=50)
        await publisher.publish_many(1000, "progress", lambda _: filler)
        await publisher.publish("completed", mine)
        async with connected(url) as client:
            answer = await client.subscribe(mine, after=after)
            assert answer["recovered"] is True
            await client.until("job.completed")
            assert [e["type"] for e in client.events] == ["job.progress", "job.completed"]


async def test_a_new_instance_knows_what_was_before_it(own_stack: Stack, publisher: Publisher) -> None:
    job = new_job()
    await publisher.publish("queued", job, filename="before.avi")
    await publisher.publish("failed", job)
    async with another_notifier(own_stack) as (url, _), connected(url) as client:
        (known,) = (await client.subscribe(job))["jobs"]
        assert (known["filename"], known["status"], known["error"]["code"]) == ("before.avi", "FAILED", "not_media")


@pytest.mark.parametrize("env", [{"WARM_UP_EVENTS": "5"}, {"WARM_UP": "0"}, {"WARM_UP": "1h"}])
async def test_an_instance_that_reads_back_less_is_ready_too(
    own_stack: Stack, publisher: Publisher, env: dict[str, str]
) -> None:
    old, new = new_job(), new_job()
    await publisher.publish("queued", old)
    for percent in range(10):
        await publisher.publish("progress", new, percent=percent)
    async with another_notifier(own_stack, **env) as (url, _), connected(url) as client:
        jobs = [job["job_id"] for job in (await client.subscribe())["jobs"]]
        assert jobs[-1] == new
        assert (old in jobs) is ("1h" in env.values())
        await publisher.publish("completed", old)
        await client.until("job.completed", job_id=old)


async def test_a_foreign_cursor_gets_a_snapshot(own_stack: Stack, publisher: Publisher) -> None:
    job = new_job()
    async with connected(own_stack.notifier_url) as client:
        await client.subscribe(job)
        await publisher.publish("queued", job)
        await client.until("job.queued")
    async with connected(own_stack.notifier_url) as client:
        answer = await client.subscribe(job, after="1-deadbeef")
        assert answer["recovered"] is False
        assert [j["job_id"] for j in answer["jobs"]] == [job]


async def test_bad_messages_close_after_a_warning(own_stack: Stack, publisher: Publisher) -> None:
    async with connected(own_stack.notifier_url) as client:
        await client.websocket.send_str("{")
        await client.until("error", code="bad_message")
        await client.websocket.send_bytes(b"\0")
        assert await client.closed() == (4400, "bad_message")


async def test_a_message_that_is_too_large_closes_at_once(own_stack: Stack, publisher: Publisher) -> None:
    async with connected(own_stack.notifier_url) as client:
        await client.websocket.send_str('{"type":"ping","x":"' + "x" * 20_000 + '"}')
        assert (await client.closed())[0] == 1009


@pytest.mark.parametrize(
    ("path", "method", "status"),
    [
        ("/ws", "GET", 426),
        ("/ws", "POST", 405),
        ("/nothing", "GET", 404),
        ("/events?job_id=../x", "GET", 422),
        ("/events?only=some", "GET", 422),
        ("/events?job_id=0d6e6a3c-0000-4000-8000-000000000000", "GET", 404),
    ],
)
async def test_errors_are_problems(own_stack: Stack, publisher: Publisher, path: str, method: str, status: int) -> None:
    assert (await status_of(own_stack.notifier_url + path, method))[:2] == (status, "application/problem+json")


async def test_the_document_health_and_metrics_are_there(own_stack: Stack, publisher: Publisher) -> None:
    async with aiohttp.ClientSession(own_stack.notifier_url) as session:
        async with session.get("/asyncapi.json") as response:
            assert (await response.json())["asyncapi"].startswith("3.")
        for path in ("/healthz", "/readyz"):
            async with session.get(path) as response:
                assert response.status == 200
    async with connected(own_stack.notifier_url):
        name = '{transport="websocket"}'
        found = await metric(own_stack.notifier_url, "video_push_connections")
        assert found[name] >= 1
    await eventually(lambda: _connections_gone(own_stack.notifier_url))
    assert (await metric(own_stack.notifier_url, "video_push_deliveries_total"))[""] > 0
    assert (await metric(own_stack.notifier_url, "video_push_latency_seconds_count"))[""] > 0


async def _connections_gone(url: str) -> bool:
    return not sum((await metric(url, "video_push_connections")).values())


EVIL = "https://app.example.evil.com"


async def test_pages_of_other_sites_are_turned_away(own_stack: Stack, publisher: Publisher) -> None:
    async with connected(own_stack.url, origin=EVIL) as client:
        assert (await client.closed())[0] == 4403
        assert client.received == []
    assert (await status_of(f"{own_stack.url}/events", Origin=EVIL))[0] == 403
    async with connected(own_stack.url, origin=own_stack.url) as client:
        await client.until("hello")


SECRET = "a secret that is long enough for HS256"


async def test_a_ticket_opens_ones_own_jobs_and_no_others(own_stack: Stack, publisher: Publisher) -> None:
    theirs, mine = new_job(), new_job()
    env = {"AUTH": "api_key", "TICKET_SECRET": SECRET}
    async with another_notifier(own_stack, **env) as (url, process):
        for query in ("", "?ticket=nonsense"):
            async with connected(url, query=query) as client:
                assert (await client.closed())[0] == 4401
                assert client.received == []
            assert (await status_of(f"{url}/events{query}"))[0] == 401
        ticket, _ = tickets.issue(SECRET, "acme", 60)
        await publisher.publish("queued", theirs, tenant="other")
        async with connected(url, query=f"?ticket={ticket}") as client:
            assert (await client.subscribe("*"))["jobs"] == []
            assert (await client.subscribe(theirs))["jobs"] == []
            await publisher.publish("completed", theirs, tenant="other")
            await publisher.publish("completed", mine, tenant="acme")
            await client.until("error", code="not_found", job_id=theirs)
            await client.until("job.completed")
            assert {e["job_id"] for e in client.events} == {mine}
        assert (await status_of(f"{url}/events?job_id={theirs}&ticket={ticket}"))[0] == 404
        assert ticket not in process.spec.log.read_text()


async def test_no_more_connections_than_allowed(own_stack: Stack, publisher: Publisher) -> None:
    async with another_notifier(own_stack, MAX_CONNECTIONS="2", MAX_TENANT_CONNECTIONS="1") as (url, _):
        async with connected(url) as first:
            await first.until("hello")
            async with connected(url) as second:
                assert (await second.closed())[0] == 1013
            status, kind, headers = await status_of(f"{url}/events")
            assert (status, kind) == (503, "application/problem+json")
            assert int(headers["Retry-After"]) > 0
        await eventually(lambda: _connections_gone(url))
        async with connected(url) as again:
            await again.until("hello")


async def test_before_the_stream_was_read_nobody_is_let_in(new_stack: NewStack) -> None:
    async with new_stack(own_broker=True) as stack:
        process = stack._process("notifier")
        await process.start()  # without a broker

        async def answers() -> bool:
            try:
                return (await status_of(f"{stack.notifier_url}/healthz"))[0] == 200
            except aiohttp.ClientError:
                return False

        await eventually(answers)
        assert (await status_of(f"{stack.notifier_url}/readyz"))[0] == 503
        for path in ("/ws", "/events"):
            status, kind, headers = await status_of(stack.notifier_url + path)
            assert (status, kind) == (503, "application/problem+json")
            assert headers["Retry-After"]
        await stack.start("epmd")
        await stack.start("rabbitmq")
        await stack.ready("notifier")
        async with connected(stack.notifier_url) as client:
            assert (await client.subscribe())["jobs"] == []
