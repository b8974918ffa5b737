"""What goes wrong around the push channel: readers that don't, peers that die, a broker that goes, a stop."""

import asyncio
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

import orjson
import pytest

from services.notifier.cursors import parse
from tests.conftest import NewStack
from tests.integration.push_client import (
    DeafSocket,
    Publisher,
    another_notifier,
    connected,
    listening,
    metric,
    publishing,
)
from tests.stack import Stack, eventually

LONG_NAME = "x" * 1000


def new_job(_: int) -> str:
    return str(uuid.uuid4())


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * 4096


async def test_a_client_that_never_reads_is_conflated_then_let_go(own_stack: Stack) -> None:
    async with (
        another_notifier(own_stack, SLOW_READER_LIMIT="100KB", PUSH_HISTORY="1MB", PUSH_JOBS="100") as (url, process),
        publishing(own_stack) as publisher,
        connected(url) as quick,
    ):
        await quick.subscribe()
        deaf = DeafSocket(url, receive_buffer=4096)
        deaf.say(type="subscribe", job_id="*")
        await _fill(publisher, url, "video_push_conflations_total", "progress", lambda n: f"busy-{n % 50}")
        before = resident(process.pid)
        assert await metric(url, "video_push_evictions_total") == {}
        await _fill(publisher, url, "video_push_evictions_total", "completed", new_job, output_path=LONG_NAME)
        assert await metric(url, "video_push_evictions_total") == {'{reason="slow"}': 1}
        last = str(uuid.uuid4())
        await publisher.publish("completed", last)
        await quick.until("job.completed", job_id=last)
        seqs = [parse(e["cursor"]).offset for e in quick.events]
        assert seqs == list(range(seqs[0], seqs[0] + len(seqs)))  # one slow client delays nobody
        frames = await deaf.read_all()
        assert frames[-1][0] == 8
        assert int.from_bytes(frames[-1][1][:2]) == 1013
        assert resident(process.pid) - before < 8 << 20
        deaf.close()


async def _fill(
    publisher: Publisher, url: str, name: str, kind: str, job_id: Callable[[int], str], **more: str
) -> None:
    """Publish until the notifier counts something."""
    for _ in range(100):
        await publisher.publish_many(200, kind, job_id, **more)
        if sum((await metric(url, name)).values()):
            return
    raise AssertionError(f"{name} has not risen")


async def test_an_evicted_client_resumes_without_a_gap(own_stack: Stack) -> None:
    async with another_notifier(own_stack, SLOW_READER_LIMIT="50KB") as (url, _), publishing(own_stack) as publisher:
        deaf = DeafSocket(url, receive_buffer=4096)
        deaf.say(type="subscribe", job_id="*")
        jobs = [str(uuid.uuid4()) for _ in range(600)]
        await publisher.publish_many(600, "completed", jobs.__getitem__, output_path=f"processed/{LONG_NAME}.mp4")
        await eventually(lambda: metric(url, "video_push_evictions_total"))
        received = [orjson.loads(data) for opcode, data in await deaf.read_all() if opcode == 1]
        deaf.close()
        async with connected(url) as client:
            answer = await client.subscribe("*", after=received[-1]["cursor"])
            assert answer["recovered"] is True
            await client.until("job.completed", job_id=jobs[-1])
            ended = [e["job_id"] for e in [*received, *client.events] if e["type"] == "job.completed"]
            assert ended == jobs


async def test_a_peer_that_says_nothing_is_gone_within_two_heartbeats(own_stack: Stack) -> None:
    async with another_notifier(own_stack, HEARTBEAT="2s") as (url, _), connected(url) as alive:
        deaf = DeafSocket(url)
        frames = await deaf.read_all()
        assert [opcode for opcode, _ in frames] == [1, 9]  # hello, one ping, and the end
        assert await eventually(lambda: metric(url, "video_push_evictions_total")) == {'{reason="dead"}': 1}
        await alive.say(type="ping")
        await alive.until("pong")
        deaf.close()


async def test_an_idle_connection_stays_open_through_the_front_door(new_stack: NewStack) -> None:
    async with new_stack(env={"HEARTBEAT": "1s"}) as stack:
        await stack.start("s3", "notifier", "nginx")
        async with connected(stack.url) as client, listening(stack.url) as source:
            await client.until("hello")
            await eventually(lambda: source.comments >= 5)
            assert not client.ended.is_set()
            await client.say(type="ping")
            await client.until("pong")


async def test_sigterm_says_goodbye_to_everybody_and_is_quick(own_stack: Stack) -> None:
    async with another_notifier(own_stack) as (url, process), publishing(own_stack) as publisher:
        deaf = DeafSocket(url)
        async with connected(url) as first, connected(url) as second, listening(url) as source:
            for client in (first, second):
                await client.subscribe()
            process.kill(signal.SIGTERM)
            async with asyncio.timeout(30):
                assert await process.wait() == 0
            waits = set()
            for client in (first, second):
                code, reason = await client.closed()
                assert code == 1001
                goodbye = await client.until("goodbye")
                assert reason is not None
                assert reason.endswith(f"retry={goodbye['retry_after_s']}")
                waits.add(goodbye["retry_after_s"])
            assert len(waits) == 2
            await source.ended()
            await source.until("goodbye")
            assert parse(source.last_event_id)
        frames = await deaf.read_all()
        assert frames[-1][0] == 8
        deaf.close()
        job = str(uuid.uuid4())
        await publisher.publish("completed", job)


async def test_events_published_while_the_broker_was_away_arrive_on_the_same_connection(new_stack: NewStack) -> None:
    async with new_stack(own_broker=True) as stack:
        await stack.start("epmd")
        await stack.start("rabbitmq")
        await stack.start("notifier")
        async with connected(stack.notifier_url) as client, publishing(stack) as publisher:
            await client.subscribe()
            await publisher.publish("queued", "job1")
            await client.until("job.queued")
            await stack.restart("rabbitmq")
            await publisher.bus.wait_connected()
            await eventually(lambda: _published(publisher, "started"))
            await eventually(lambda: _published(publisher, "completed"))
            await client.until("job.completed")
            assert [e["type"] for e in client.events] == ["job.queued", "job.started", "job.completed"]
            offsets = [parse(e["cursor"]).offset for e in client.events]
            assert offsets == sorted(set(offsets))


async def _published(publisher: Publisher, kind: str) -> bool:
    try:
        await publisher.publish(kind, "job1")
    except Exception as error:
        raise AssertionError(repr(error)) from error
    return True


@pytest.mark.parametrize("events_after", [1, 40])
async def test_a_stream_made_anew_sends_everybody_back_for_a_snapshot(new_stack: NewStack, events_after: int) -> None:
    async with new_stack() as stack:
        await stack.start("notifier")
        async with publishing(stack) as publisher:
            async with connected(stack.notifier_url) as client:
                await client.subscribe()
                for number in range(20):
                    await publisher.publish("queued", f"old{number}")
                await client.until("job.queued", 20)
                vhost = stack.amqp_url.rsplit("/", 1)[1]
                await stack.rabbitmqctl("delete_queue", "-p", vhost, "video-events")
                await eventually(lambda: _published_to_stream(publisher, stack, vhost))
                for number in range(events_after):
                    await publisher.publish("queued", f"new{number}")
                assert (await client.closed())[0] == 1012
                old_cursor = client.cursor
            await stack.ready("notifier")
            async with connected(stack.notifier_url) as client:
                answer = await client.subscribe("*", after=old_cursor)
                assert answer["recovered"] is False
                assert f"new{events_after - 1}" in {job["job_id"] for job in answer["jobs"]}
                assert "old0" not in {job["job_id"] for job in answer["jobs"]}


async def _published_to_stream(publisher: Publisher, stack: Stack, vhost: str) -> bool:
    return "video-events" in await stack.rabbitmqctl("list_queues", "-p", vhost, "name")
