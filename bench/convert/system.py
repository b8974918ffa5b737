"""The system under measurement: broker, store, gateway and transcoder, and the seed design on the same parts."""

import asyncio
import sys
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from time import perf_counter
from typing import Any

from aiohttp import ClientSession

from tests.integration.broker_client import Watcher, watching
from tests.stack import Stack, eventually, make_stack


class System:
    """Uploads, submits, and waits for outcomes."""

    def __init__(self, stack: Stack, watcher: Watcher, http: ClientSession) -> None:
        self.stack = stack
        self.watcher = watcher
        self._http = http

    async def submit(self, key: str, output_format: str, options: dict[str, Any]) -> str:
        """POST /jobs; the job's id."""
        body = {"input_path": key, "output_format": output_format, "options": options}
        async with self._http.post(f"{self.stack.gateway_url}/jobs", json=body) as response:
            answer = await response.json()
            if response.status != 201:
                raise RuntimeError(answer)
            return str(answer["job_id"])

    async def convert(self, keys: Sequence[str], output_format: str, options: dict[str, Any]) -> float:
        """Submit all, and wait until all are completed; seconds from the first POST to the last event."""
        begun = perf_counter()
        jobs = [await self.submit(key, output_format, options) for key in keys]
        for job in jobs:
            await eventually(lambda job=job: self._ended(job), timeout=600, every=0.002)
        return perf_counter() - begun

    def _ended(self, job: str) -> bool:
        if self.watcher.of(job, "failed", "cancelled"):
            raise RuntimeError(self.watcher.of(job)[-1])
        return bool(self.watcher.of(job, "completed"))


@asynccontextmanager
async def system(*, concurrency: int) -> AsyncIterator[System]:
    """The whole system on free ports in a temporary directory."""
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        async with make_stack(Path(directory)) as stack:
            await stack.start("epmd", "rabbitmq", "s3")
            await stack.start("gateway", "transcoder", env={"WORKER_CONCURRENCY": str(concurrency)})
            async with watching(stack) as watcher, ClientSession() as http:
                yield System(stack, watcher, http)


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
