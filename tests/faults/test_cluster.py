"""A broker of three nodes, one of them down: queues that live on that node keep nobody from the others."""

import asyncio
import contextlib
import shutil
from collections.abc import AsyncIterator
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from deploy.embedded.broker import NODE, broker_environment, broker_tool
from deploy.embedded.guardian import Guardian
from deploy.embedded.ports import free_ports
from deploy.embedded.process import ManagedProcess
from deploy.embedded.spec import AmqpProbe
from services.common import topology
from tests.buses import connected
from tests.stack import Stack, eventually, make_stack

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def _control(process: ManagedProcess, *arguments: str) -> None:
    command = [broker_tool("rabbitmqctl"), "--quiet", *arguments]
    result = await anyio.run_process(command, env=process.spec.env, cwd=process.spec.cwd, check=False)
    assert result.returncode == 0, (arguments, result.stdout, result.stderr)


def _another(stack: Stack, name: str, guardian: Guardian) -> tuple[ManagedProcess, str]:
    """One more node for the cluster of `stack`'s broker, with no data yet, and its URL."""
    first = stack.system.processes["rabbitmq"]
    amqp_port, dist_port = free_ports(2)
    home = first.cwd.with_name(name)
    home.mkdir()
    for file in ("enabled_plugins", ".erlang.cookie"):
        shutil.copy(first.cwd / file, home / file)
    (home / "rabbitmq.conf").write_text(f"listeners.tcp.local = 127.0.0.1:{amqp_port}\n")
    env = broker_environment(epmd_port=int(first.env["ERL_EPMD_PORT"]), dist_port=dist_port, amqp_port=amqp_port)
    spec = replace(
        first,
        name=name,
        env={**env, "RABBITMQ_NODENAME": f"{name}@localhost"},
        cwd=home,
        log=first.log.with_name(f"{name}.log"),
        ready=AmqpProbe("127.0.0.1", amqp_port),
    )
    url = stack.amqp_url.replace(f":{stack.settings.amqp_port}/", f":{amqp_port}/")
    return ManagedProcess(spec, guardian), url


@contextlib.asynccontextmanager
async def cluster(directory: Path) -> AsyncIterator[tuple[Stack, list[str]]]:
    """A stack whose broker is the first of three nodes, and the URLs of the other two."""
    async with make_stack(directory) as stack:
        await stack.start("epmd")
        await stack.start("rabbitmq")
        with Guardian() as guardian:
            nodes = [_another(stack, name, guardian) for name in ("second", "third")]
            try:
                for node, _ in nodes:
                    await node.start()
                for node, _ in nodes:
                    await node.wait_ready()
                    await _control(node, "stop_app")
                    await _control(node, "join_cluster", NODE)
                    await _control(node, "start_app")
                yield stack, [url for _, url in nodes]
            finally:
                for node, _ in nodes:
                    await node.stop()


async def test_a_node_that_is_down_takes_only_progress_with_it(tmp_path: Path):
    heard: list[bytes] = []
    listening = asyncio.Event()
    async with cluster(tmp_path) as (stack, (second, third)):
        async with connected(stack.amqp_url):
            pass  # whoever declares a queue has it on the node that it is connected to
        async with connected(second) as bus:
            consumer = asyncio.create_task(
                bus.consume(
                    topology.GATEWAY_PROGRESS_QUEUE,
                    lambda delivery: heard.append(delivery.body),
                    prefetch=10,
                    no_ack=True,
                    listening=listening,
                )
            )
            async with asyncio.timeout(30):
                await listening.wait()
            await bus.publish(topology.EVENTS, "job.progress.t.1", b"before", persistent=False)
            await eventually(lambda: heard == [b"before"])

            await stack.stop("rabbitmq")
            await eventually(lambda: not listening.is_set())
            await bus.publish(topology.EVENTS, "job.progress.t.1", b"lost", persistent=False)
            await bus.publish(topology.EVENTS, "job.completed.t.1", b"kept")
            async with connected(third) as another:
                await another.publish(topology.JOBS, topology.requested("mp4"), b"{}")

            await stack.start("rabbitmq")
            async with asyncio.timeout(60):
                await listening.wait()
            await bus.publish(topology.EVENTS, "job.progress.t.1", b"after", persistent=False)
            await eventually(lambda: heard[-1] == b"after")
            consumer.cancel()
            await asyncio.gather(consumer, return_exceptions=True)
