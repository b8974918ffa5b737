"""Watching: no event missed, none told twice, over whatever transport there is, through losses of the connection."""

import asyncio

import pytest
from aiohttp import web

from services.client import Client, JobFailedError, NotAllowedError, NotFoundError, Status, Transport, UnreachableError
from services.client.push import feed
from services.client.push.ladder import Ladder
from services.client.push.watch import Event, Watch
from tests.stack import eventually
from tests.unit.client.fake import FakeService, job_fields

WS, SSE, POLL = Transport


def kinds(events: list[Event]) -> list[str]:
    return [event.type.removeprefix("job.") for event in events]


async def take(watch: Watch, count: int) -> list[Event]:
    async with asyncio.timeout(60):
        return [await anext(watch) for _ in range(count)]


async def rest_of(watch: Watch) -> list[Event]:
    async with asyncio.timeout(60):
        return [event async for event in watch]


@pytest.mark.parametrize("transport", [WS, SSE])
async def test_a_job_is_followed_to_its_end(fake: FakeService, client: Client, transport: Transport) -> None:
    fake.make_job("a")
    watch = client.watch(["a"], transports=[transport])
    (first,) = await take(watch, 1)
    assert (first.type, first.job.status, first.transport) == ("snapshot", Status.QUEUED, transport)
    await fake.event("a", "started", stage="probing")
    await fake.progress("a", 40.0)
    await fake.complete_job("a")
    events = await rest_of(watch)
    assert kinds(events) == ["started", "progress", "completed"]
    assert events[1].job.progress.percent == 40.0
    assert events[1].job.filename == "a.avi"
    assert events[-1].job.outputs[0].path == "processed/a.mp4"
    assert events[-1].cursor == watch.cursor == "3"
    assert watch.transport is None


async def test_polling_tells_each_change_as_a_snapshot(fake: FakeService, client: Client) -> None:
    fake.make_job("a")
    watch = client.watch(["a"], transports=[POLL])
    assert kinds(await take(watch, 1)) == ["snapshot"]
    await fake.progress("a", 40.0)
    (event,) = await take(watch, 1)
    assert (event.type, event.job.progress.percent, event.transport) == ("snapshot", 40.0, POLL)
    await fake.complete_job("a")
    assert [event.job.status for event in await rest_of(watch)] == [Status.COMPLETED]


@pytest.mark.parametrize("transport", [WS, SSE])
async def test_what_happens_while_the_connection_is_away_is_told_once_and_in_order(
    fake: FakeService, client: Client, transport: Transport
) -> None:
    fake.make_job("a")
    watch = client.watch(["a"], transports=[transport])
    await take(watch, 1)
    await fake.progress("a", 1.0)
    await take(watch, 1)
    await fake.drop()
    await fake.progress("a", 2.0)
    await fake.progress("a", 3.0)
    await fake.complete_job("a")
    events = await rest_of(watch)
    assert [event.job.progress.percent for event in events] == [2.0, 3.0, 100.0]
    assert kinds(events) == ["progress", "progress", "completed"]
    assert fake.subscriptions[1] == {"targets": ["a"], "after": "1"}


async def test_a_cursor_that_is_not_known_any_more_leads_to_a_snapshot(fake: FakeService, client: Client) -> None:
    fake.make_job("a")
    watch = client.watch(["a"], transports=[WS])
    await fake.progress("a", 1.0)
    await take(watch, 1)
    await fake.drop()
    await fake.complete_job("a")
    fake.log.clear()  # another stream: the cursor is ahead of it
    events = await rest_of(watch)
    assert [(event.type, event.job.status) for event in events] == [("snapshot", Status.COMPLETED)]


async def test_events_told_twice_by_the_server_are_told_once(fake: FakeService, client: Client) -> None:
    fake.make_job("a")
    watch = client.watch(["a"], transports=[WS])
    await take(watch, 1)
    event = await fake.progress("a", 1.0) or fake.log[-1]
    for socket in fake._sockets:
        await socket.send_json(event)
        await socket.send_json({**event, "seq": 1})
    await fake.complete_job("a")
    assert kinds(await rest_of(watch)) == ["progress", "completed"]


async def test_a_blocked_transport_makes_way_for_the_next_one(fake: FakeService, client: Client) -> None:
    fake.make_job("a")
    fake.blocked = {"ws"}
    states: list[Transport | None] = []
    watch = client.watch(["a"], on_state=lambda state: states.append(state.transport))
    (event,) = await take(watch, 1)
    assert event.transport is SSE
    assert states == [None, None, SSE]
    await watch.aclose()
    fake.blocked = {"ws", "sse"}
    async with client.watch(["a"]) as watch:
        assert (await take(watch, 1))[0].transport is POLL


async def test_the_better_transport_takes_over_when_it_is_there_again(
    fake: FakeService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Ladder, "probe_in", lambda _: 0.0)
    fake.make_job("a")
    fake.blocked = {"ws", "sse"}
    states: list[Transport | None] = []
    watch = client.watch(["a"], on_state=lambda state: states.append(state.transport))
    await take(watch, 1)
    fake.blocked.clear()
    waiting = asyncio.create_task(take(watch, 1))
    await eventually(lambda: states[-1] is WS)
    await fake.progress("a", 5.0)
    (event,) = await waiting
    assert (event.type, event.transport) == ("job.progress", WS)
    await watch.aclose()


async def test_jobs_can_be_added_and_let_go_while_watching(fake: FakeService, client: Client) -> None:
    for name in "abc":
        fake.make_job(name)
    for transport in Transport:
        async with client.watch(["a"], until_done=False, transports=[transport]) as watch:
            await take(watch, 1)
            waiting = asyncio.create_task(take(watch, 1))
            await watch.add("b")
            (event,) = await waiting
            assert (event.type, event.job.job_id) == ("snapshot", "b")
            watch.discard("a")
            await fake.progress("a", 1.0)
            await fake.progress("b", 1.0)
            (event,) = await take(watch, 1)
            assert event.job.job_id == "b"


async def test_a_job_added_before_the_connection_is_there_is_watched_too(fake: FakeService, client: Client) -> None:
    fake.make_job("a")
    fake.make_job("b")
    watch = client.watch(["a"], transports=[WS])
    await watch.add("b")
    assert {event.job.job_id for event in await take(watch, 2)} == {"a", "b"}
    await fake.complete_job("a")
    await fake.complete_job("b")
    assert kinds(await rest_of(watch)) == ["completed", "completed"]


async def test_a_retried_job_can_be_watched_again(fake: FakeService, client: Client) -> None:
    fake.make_job("a", status="FAILED", error={"code": "internal", "message": "?"})
    async with client.watch(["a"], until_done=False) as watch:
        assert (await take(watch, 1))[0].job.status is Status.FAILED
        await client.retry("a")
        (event,) = await take(watch, 1)
        assert (event.type, event.job.attempt, event.job.error) == ("job.queued", 2, None)


async def test_all_jobs_are_watched_those_to_come_included(fake: FakeService, client: Client) -> None:
    fake.make_job("a")
    async with client.watch("*") as watch:
        await take(watch, 1)
        fake.make_job("b")
        about = {name: fake.jobs["b"][name] for name in ("input_path", "output_format", "output_path", "filename")}
        await fake.event("b", "queued", **about)
        await fake.progress("b", 5.0)
        events = await take(watch, 2)
        assert [(event.type, event.job.job_id, event.job.filename) for event in events] == [
            ("job.queued", "b", "b.avi"),
            ("job.progress", "b", "b.avi"),
        ]


async def test_an_event_of_a_job_never_heard_of_makes_the_client_ask(fake: FakeService, client: Client) -> None:
    async with client.watch("*") as watch:
        waiting = asyncio.create_task(take(watch, 1))
        await eventually(lambda: fake.subscriptions)
        fake.make_job("b")
        await fake.progress("b", 5.0)
        (event,) = await waiting
        assert (event.type, event.job.filename, event.job.progress.percent) == ("job.progress", "b.avi", 5.0)


async def test_more_jobs_than_may_be_named_are_watched_all_the_same(fake: FakeService, client: Client) -> None:
    names = [f"j{n}" for n in range(201)]
    for name in [*names, "other"]:
        fake.make_job(name)
    async with client.watch(names) as watch:
        events = await take(watch, 201)
        assert {event.job.job_id for event in events} == set(names)
        await fake.progress("other", 1.0)
        await fake.progress("j7", 1.0)
        assert (await take(watch, 1))[0].job.job_id == "j7"
    assert fake.subscriptions == [{"targets": ["*"], "after": None}]


async def test_a_job_that_the_push_channel_has_forgotten_is_asked_for(fake: FakeService, client: Client) -> None:
    fake.make_job("a", status="COMPLETED")
    fake.forgotten = {"a"}
    events = await rest_of(client.watch(["a"]))
    assert [(event.type, event.job.status) for event in events] == [("snapshot", Status.COMPLETED)]


async def test_a_job_that_is_not_there_is_an_error(client: Client) -> None:
    for transport in (WS, SSE, POLL):
        with pytest.raises(NotFoundError):
            await anext(client.watch(["nobody"], transports=[transport]))


async def test_a_job_deleted_under_the_eyes_of_polling_has_ended(fake: FakeService, client: Client) -> None:
    fake.make_job("a")
    watch = client.watch(["a"], transports=[POLL])
    await take(watch, 1)
    del fake.jobs["a"]
    events = await rest_of(watch)
    assert [(event.type, event.job.status) for event in events] == [("job.cancelled", Status.CANCELLED)]


async def test_another_watch_goes_on_from_the_cursor_of_the_first(fake: FakeService, client: Client) -> None:
    fake.make_job("a")
    async with client.watch(["a"]) as first:
        await take(first, 1)
        await fake.progress("a", 1.0)
        await take(first, 1)
        cursor = first.cursor
    await fake.progress("a", 2.0)
    await fake.complete_job("a")
    events = await rest_of(client.watch(["a"], after=cursor))
    assert kinds(events) == ["progress", "completed"]
    assert (events[0].job.progress.percent, events[0].job.status) == (2.0, Status.PROCESSING)
    assert events[0].job.outputs == []
    # Nothing has happened since: that the job has ended is still told.
    events = await rest_of(client.watch(["a"], after=events[-1].cursor))
    assert [(event.type, event.job.status) for event in events] == [("snapshot", Status.COMPLETED)]


async def test_tickets_are_taken_where_there_is_a_key(fake: FakeService) -> None:
    fake.api_key = "secret"
    fake.make_job("a")
    async with Client(fake.url, "secret") as client:
        for transport in (WS, SSE, POLL):
            async with client.watch(["a"], transports=[transport]) as watch:
                await take(watch, 1)
    assert len(fake.tickets) == 2


async def test_a_ticket_grown_old_is_replaced_once(fake: FakeService) -> None:
    fake.api_key = "secret"
    fake.make_job("a")
    fake.faults["GET /ws"] = [lambda _: web.Response(status=401)]
    async with Client(fake.url, "secret") as client, client.watch(["a"]) as watch:
        assert (await take(watch, 1))[0].transport is WS
    assert len(fake.tickets) == 2


async def test_without_a_good_key_there_is_nothing_to_watch(fake: FakeService) -> None:
    fake.api_key = "secret"
    async with Client(fake.url) as client:
        with pytest.raises(NotAllowedError):
            await anext(client.watch("*"))
    async with Client(fake.url, "wrong") as client:
        with pytest.raises(NotAllowedError):
            await anext(client.watch("*"))


async def test_waiting_for_an_event_can_be_given_up_and_taken_up_again(fake: FakeService, client: Client) -> None:
    fake.make_job("a")
    watch = client.watch(["a"])
    await take(watch, 1)
    waiting = asyncio.create_task(take(watch, 1))
    await asyncio.sleep(0)
    waiting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await waiting
    await fake.complete_job("a")
    assert kinds(await rest_of(watch)) == ["completed"]
    assert len(fake.subscriptions) == 1


async def test_a_feed_that_stays_away_is_given_up_where_that_is_wanted(fake: FakeService, client: Client) -> None:
    fake.make_job("a")
    watch = client.watch(["a"], give_up_after_s=0.0, transports=[WS])
    await take(watch, 1)
    fake.blocked = {"ws"}
    await fake.drop()
    with pytest.raises(UnreachableError):
        await rest_of(watch)


async def test_closing_the_client_closes_what_watches(fake: FakeService) -> None:
    fake.make_job("a")
    async with Client(fake.url) as client:
        watch = client.watch(["a"])
        await take(watch, 1)
    assert watch.transport is None
    await eventually(lambda: not fake._sockets)
    with pytest.raises(StopAsyncIteration):
        await anext(watch)


async def test_waiting_for_a_job_returns_it_or_raises_its_reason(fake: FakeService, client: Client) -> None:
    fake.make_job("a", status="COMPLETED")
    assert (await client.wait("a")).job_id == "a"
    fake.make_job("b")
    waiting = asyncio.create_task(client.wait("b"))
    await eventually(lambda: fake._sockets)
    await fake.event("b", "failed", error={"code": "no_video", "message": "There is no picture."})
    with pytest.raises(JobFailedError, match="There is no picture") as caught:
        await waiting
    assert caught.value.job.status is Status.FAILED


async def test_a_server_that_falls_silent_is_left(
    fake: FakeService, client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("services.client.push.websocket._ASK_AFTER_S", 0.01)
    monkeypatch.setattr("services.client.push.websocket._ANSWER_WITHIN_S", 0.01)
    fake.make_job("a")

    async def mute(request: web.Request) -> web.StreamResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.receive()
        subscribed = {"type": "subscribed", "job_id": "a", "jobs": [job_fields("a")], "cursor": "0"}
        await socket.send_json({**subscribed, "recovered": False})
        while not (await socket.receive()).type.name.startswith("CLOS"):
            pass
        return socket

    fake.faults["GET /ws"] = [mute]
    reasons: list[str] = []
    watch = client.watch(["a"], transports=[WS], on_state=lambda state: reasons.append(state.reason))
    await take(watch, 1)
    waiting = asyncio.create_task(rest_of(watch))
    await eventually(lambda: fake.subscriptions)
    await fake.complete_job("a")
    assert kinds(await waiting) == ["completed"]
    assert "the server fell silent" in reasons
    assert feed.OPENERS.keys() == set(Transport)


@pytest.mark.parametrize("transport", Transport)
async def test_the_ends_alone_can_be_watched(fake: FakeService, client: Client, transport: Transport) -> None:
    fake.make_job("a")
    fake.make_job("b", status="FAILED")
    watch = client.watch(["a", "b"], ends_only=True, transports=[transport])
    assert [(event.type, event.job.job_id) for event in await take(watch, 1)] == [("snapshot", "b")]
    await fake.progress("a", 5.0)
    await fake.complete_job("a")
    assert [event.job.status for event in await rest_of(watch)] == [Status.COMPLETED]
    asked = [path for name, path, _, _ in fake.requests if name == "GET /events"]
    assert all("only=terminal" in path for path in asked)
    assert all(ask["only"] == "terminal" for ask in fake.asks)
