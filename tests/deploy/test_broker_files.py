"""A real RabbitMQ starts from the files that compose's `setup` makes, and the services find their broker in it."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import anyio
import pytest
from aiormq.exceptions import AMQPError

from deploy.docker.secret_files import files, values, write
from services.common import topology
from services.common.bus import Bus
from tests.stack import Stack, make_stack


@asynccontextmanager
async def broker(directory: Path) -> AsyncIterator[tuple[Stack, dict[str, str]]]:
    """A broker of its own, its configuration replaced by the one for compose (management, which Debian's plugin
    directory may lack, aside)."""
    made = files(
        values(directory, directory), job_timeout_s=3600, postgres=False, mounted_at=str(directory / "rabbitmq")
    )
    write(directory, made)
    texts = {item.path: item.text for item in made}
    async with make_stack(directory / "data") as stack:
        config = stack.settings.layout.broker / "rabbitmq.conf"
        config.write_text(
            f"listeners.tcp.local = 127.0.0.1:{stack.settings.amqp_port}\n{texts['rabbitmq/rabbitmq.conf']}"
        )
        await stack.start("epmd")
        await stack.start("rabbitmq")
        yield stack, texts


def here(url: str, stack: Stack) -> str:
    """The services' URL, with the broker's name and port as they are in this test."""
    parts = urlsplit(url)
    userinfo, _, _ = parts.netloc.rpartition("@")
    return f"amqp://{userinfo}@127.0.0.1:{stack.settings.amqp_port}/"


async def test_a_broker_from_the_files_that_setup_makes(tmp_path: Path):
    async with broker(tmp_path) as (stack, texts):
        queues = (await stack.rabbitmqctl("list_queues", "name", "type", "--no-table-headers")).split("\n")
        kinds = dict(line.split("\t") for line in queues if line)
        assert set(kinds) == {queue.name for queue in topology.QUEUES}
        assert kinds[topology.JOBS_QUEUE] == "quorum"
        assert kinds[topology.EVENTS_STREAM] == "stream"

        timeout = await stack.rabbitmqctl("eval", "application:get_env(rabbit, consumer_timeout).")
        assert timeout.strip() == f"{{ok,{7 * 86400 * 1000}}}"

        users = await stack.rabbitmqctl("list_users", "--no-table-headers")
        assert sorted(line.split("\t")[0] for line in users.split("\n") if line) == ["admin", "monitor", "video"]

        url = here(texts["gateway/amqp_url"], stack)
        bus = Bus(url, name="test")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(bus.run)
            with anyio.fail_after(30):
                # Declares the same topology: a difference in one argument would be refused.
                await bus.wait_connected()
            await bus.publish(topology.JOBS, topology.requested("mp4"), b"{}")
            tasks.cancel_scope.cancel()

        with pytest.raises((AMQPError, ConnectionError)):
            await aio_pika.connect(f"amqp://guest:guest@127.0.0.1:{stack.settings.amqp_port}/", timeout=30)
