"""The system under measurement: broker, store, gateway and transcoder, and the seed design on the same parts."""

import asyncio
import sys
import tempfile
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from http import HTTPStatus
from pathlib import Path
from time import perf_counter
from typing import Any
from uuid import uuid4

import aio_pika
from aio_pika.abc import AbstractConnection, AbstractIncomingMessage
from aiohttp import ClientSession

from services.common import topology
from services.common.settings import CommonSettings
from services.common.storage import Storage
from tests.stack import Stack, make_stack


class System:
    """Uploads, submits, and waits for outcomes, without taking more of the processors than a client would."""

    def __init__(self, stack: Stack, storage: Storage, http: ClientSession) -> None:
        self.stack = stack
        self._storage = storage
        self._http = http
        self._ends: defaultdict[str, asyncio.Future[str]] = defaultdict(asyncio.get_running_loop().create_future)

    async def put(self, source: Path) -> str:
        """Store a file as an upload; its key."""
        key = f"uploads/{uuid4()}{source.suffix}"
        await self._storage.upload(source, key, "application/octet-stream")
        return key

    async def convert(self, keys: Sequence[str], output_format: str, options: dict[str, Any]) -> float:
        """Submit all, and wait until all are completed; seconds from the first POST to the last event."""
        begun = perf_counter()
        jobs = [await self._submit(key, output_format, options) for key in keys]
        ends = set(await asyncio.gather(*(self._ends[job] for job in jobs)))
        if ends != {"completed"}:
            raise RuntimeError(f"jobs have {' and '.join(ends)}")
        return perf_counter() - begun

    async def _submit(self, key: str, output_format: str, options: dict[str, Any]) -> str:
        """POST /jobs; the job's id."""
        body = {"input_path": key, "output_format": output_format, "options": options}
        async with self._http.post(f"{self.stack.gateway_url}/jobs", json=body) as response:
            answer = await response.json()
            if response.status != HTTPStatus.CREATED:
                raise RuntimeError(answer)
            return str(answer["job_id"])

    async def listen(self, connection: AbstractConnection) -> None:
        """Take note of the ends of jobs from here on."""
        channel = await connection.channel()
        queue = await channel.declare_queue(exclusive=True)
        for end in ("completed", "failed", "cancelled"):
            await queue.bind(topology.EVENTS, f"job.{end}.#")
        await queue.consume(self._take, no_ack=True)

    def _take(self, message: AbstractIncomingMessage) -> None:
        _, end, _, job = (message.routing_key or "").split(".")
        if not self._ends[job].done():
            self._ends[job].set_result(end)


@asynccontextmanager
async def system(*, concurrency: int) -> AsyncIterator[System]:
    """The whole system on free ports in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        async with make_stack(Path(directory)) as stack:
            await stack.start("epmd", "rabbitmq", "s3")
            await stack.start("gateway", "transcoder", env={"WORKER_CONCURRENCY": str(concurrency)})
            settings = CommonSettings(
                **{k.lower(): v for k, v in stack.env.items() if k.startswith(("AMQP_URL", "S3_"))}
            )
            async with (
                Storage(settings) as storage,
                ClientSession() as http,
                await aio_pika.connect(stack.amqp_url) as connection,
            ):
                await storage.ensure_bucket()
                running = System(stack, storage, http)
                await running.listen(connection)
                yield running


@asynccontextmanager
async def seed_workers(stack: Stack, database: Path, *, count: int, encoding: str) -> AsyncIterator[None]:
    """The seed design's workers on the same broker and store."""
    s3 = stack.s3
    env = {
        "AMQP_URL": stack.amqp_url,
        "DATABASE": str(database),
        "S3_ENDPOINT": s3.endpoint.removeprefix("http://"),
        "S3_ACCESS_KEY": s3.access_key,
        "S3_SECRET_KEY": s3.secret_key,
        "PATH": stack.env["PATH"],
        "ENCODING": encoding,
    }
    workers = [
        await asyncio.create_subprocess_exec(
            sys.executable, str(Path(__file__).parents[1] / "seed" / "worker.py"), env=env
        )
        for _ in range(count)
    ]
    try:
        yield
    finally:
        for worker in workers:
            worker.kill()
            await worker.wait()
