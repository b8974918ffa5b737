"""Debian's Prometheus looks at the running system under load: every panel and every alert has something to say."""

import re
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from urllib.parse import urlsplit

import aio_pika
import aiohttp
import anyio

from services.common import topology
from tests.conftest import NewStack
from tests.deploy.prometheus import Prometheus
from tests.deploy.promql import Expression, alert_expressions, panel_expressions
from tests.integration.gateway_world import Api
from tests.media_files import MediaFiles
from tests.stack import SERVICES, Stack, eventually

WINDOW = "30s"


def asked(expression: Expression) -> str:
    """A panel's query as Grafana would ask it; its windows short, as the test is."""
    return re.sub(r"\[\d+[mh]\]", f"[{WINDOW}]", expression.expr.replace("$__rate_interval", WINDOW))


def measured(expression: Expression) -> str:
    """What an alert would compare, which must be there when all is well too: its query without thresholds, and
    without the labels of what should never happen."""
    without = re.sub(r"(==|>=|<=|>|<)\s*(?=\d)", r"\1 bool ", asked(expression))
    without = re.sub(r'status=~"5\.\."|,code=~"[a-z_|]+"', "", without)
    return without.replace(" unless ", " or ")


def targets(stack: Stack) -> dict[str, str]:
    places = {
        "gateway": stack.gateway_url,
        "notifier": stack.notifier_url,
        "transcoder": stack.transcoder_url,
        # Neither exposes metrics here; that they are looked for is enough for `up`.
        "rabbitmq": stack.amqp_url,
        "minio": stack.s3.endpoint,
    }
    return {name: urlsplit(url).netloc.rpartition("@")[2] for name, url in places.items()}


@asynccontextmanager
async def publishing(stack: Stack) -> AsyncIterator[aio_pika.abc.AbstractChannel]:
    async with await aio_pika.connect(stack.amqp_url) as connection:
        yield await connection.channel()


async def watch(stack: Stack) -> None:
    """A watcher that follows everything, and one that talks nonsense until it is shown the door."""
    async with aiohttp.ClientSession() as session, session.ws_connect(f"{stack.notifier_url}/ws") as socket:
        async with session.ws_connect(f"{stack.notifier_url}/ws") as rude:
            while not rude.closed:
                await rude.send_str("{")
                await rude.receive(timeout=30)
        await socket.send_json({"type": "subscribe", "job_id": "*"})
        async for _ in socket:
            pass


async def use(stack: Stack, media: MediaFiles) -> None:
    """Jobs that succeed, one that cannot, one nobody can read, and one whose transcoder dies."""
    async with Api(stack.gateway_url) as api, publishing(stack) as channel:
        clip = media.mp4(seconds=2).read_bytes()
        good = [await api.submit(await api.upload(clip), output_format="webm") for _ in range(4)]
        bad = await api.submit(await api.upload(b"not a video"))
        exchange = await channel.get_exchange(topology.JOBS, ensure=False)
        await exchange.publish(aio_pika.Message(b"{", delivery_mode=2), topology.requested("mp4"))
        for job in good:
            await api.becomes(job["job_id"], "COMPLETED")
        await api.becomes(bad["job_id"], "FAILED")

        long = media.mp4(seconds=20, size="640x360", rate=25).read_bytes()
        unlucky = await api.submit(await api.upload(long), output_format="webm", options={"quality": "best"})
        await api.becomes(unlucky["job_id"], "PROCESSING")
        stack.kill("transcoder", signal.SIGKILL)
        await stack.exited("transcoder")
        await stack.start("transcoder")
        await eventually(lambda: again(api, unlucky["job_id"]), timeout=120)
        await api.post(f"/jobs/{unlucky['job_id']}/cancel")
        await api.becomes(unlucky["job_id"], "CANCELLED")


async def again(api: Api, job_id: str) -> bool:
    job = await api.job(job_id)
    return bool(job["attempt"] > 1 and job["status"] == "PROCESSING")


async def keep_using(stack: Stack, media: MediaFiles) -> None:
    """A job every little while, so that what is asked of the last seconds finds something in them."""
    async with Api(stack.gateway_url) as api:
        clip = media.mp4(seconds=1).read_bytes()
        while True:
            job = await api.submit(await api.upload(clip), output_format="webm")
            await api.becomes(job["job_id"], "COMPLETED")


async def test_every_panel_and_alert_has_data_under_load(new_stack: NewStack, media: MediaFiles, tmp_path: Path):
    async with new_stack() as stack:
        await stack.start("s3", "nginx", *SERVICES)
        async with Prometheus.running(tmp_path, targets(stack)) as prometheus, anyio.create_task_group() as load:
            load.start_soon(watch, stack)
            await eventually(lambda: prometheus.query('up{job="transcoder"} == 1'))
            await use(stack, media)
            load.start_soon(keep_using, stack, media)
            await all_speak(prometheus, [asked(expression) for expression in panel_expressions()])
            await all_speak(prometheus, [measured(expression) for expression in alert_expressions()])
            rules = await prometheus.alerts()
            assert [rule["name"] for rule in rules] == [expression.where for expression in alert_expressions()]
            assert not [rule for rule in rules if rule["health"] != "ok"]
            load.cancel_scope.cancel()


async def all_speak(prometheus: Prometheus, queries: list[str]) -> None:
    """Wait until each of the queries has given data once; those that never do are the failure."""
    waiting = set(queries)

    async def all_answered() -> bool:
        for query in sorted(waiting):
            if await prometheus.query(query):
                waiting.discard(query)
        assert not waiting, "no data for:\n" + "\n".join(sorted(waiting))
        return True

    await eventually(all_answered, timeout=120, every=0.5)
