"""The fixtures themselves: what the other tests stand on."""

import signal

import aio_pika
import aiohttp
import pytest

from tests.media_files import MediaFiles, big_buck_bunny, ffprobe
from tests.stack import Stack, eventually


async def publish_and_count(amqp_url: str, queue_name: str) -> int:
    async with await aio_pika.connect(amqp_url) as connection:
        channel = await connection.channel()
        queue = await channel.declare_queue(queue_name, durable=True, arguments={"x-queue-type": "quorum"})
        await channel.default_exchange.publish(aio_pika.Message(b"{}"), queue_name)
        again = await channel.declare_queue(queue_name, passive=True)
        return again.declaration_result.message_count + queue.declaration_result.message_count


async def test_a_stack_of_its_own_shares_the_broker_and_sees_nothing_of_the_other(
    stack: Stack, own_stack: Stack
) -> None:
    assert stack.pid("rabbitmq") == own_stack.pid("rabbitmq")
    await publish_and_count(stack.amqp_url, "shared-name")
    assert await publish_and_count(own_stack.amqp_url, "shared-name") <= 1
    assert stack.s3.endpoint != own_stack.s3.endpoint


async def test_a_killed_process_can_be_started_again(own_stack: Stack) -> None:
    own_stack.kill("s3", signal.SIGKILL)
    assert await own_stack.exited("s3") == -signal.SIGKILL
    await own_stack.start("s3")
    assert own_stack.running("s3")
    assert "Starting s3 server" in own_stack.log("s3")


async def test_the_whole_system_answers_at_the_front_door_and_a_crash_is_mended(full_stack: Stack) -> None:
    async with aiohttp.ClientSession() as http:
        async with http.get(f"{full_stack.url}/api/formats") as answer:
            assert answer.status == 200
        full_stack.kill("gateway", signal.SIGKILL)
        await full_stack.exited("gateway")
        await full_stack.start("gateway")
        async with http.get(f"{full_stack.url}/api/jobs") as answer:
            assert (await answer.json())["jobs"] == []
        async with http.ws_connect(f"{full_stack.url}/ws") as socket:
            assert (await socket.receive_json())["type"] == "hello"


async def test_eventually_returns_the_first_true_value_and_tells_the_last_false_one() -> None:
    values = iter([0, 0, 7])
    assert await eventually(lambda: next(values), every=0) == 7
    with pytest.raises(AssertionError, match="gave 0"):
        await eventually(lambda: 0, timeout=0.05)


def test_media_are_what_they_say(media: MediaFiles) -> None:
    streams = ffprobe(media.avi())["streams"]
    assert [stream["codec_name"] for stream in streams] == ["mpeg4", "mp3"]
    assert ffprobe(big_buck_bunny())["streams"][0]["width"] == 1280
