"""What a foreign program does on the broker and the store: put work, watch events, cancel."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson

from services.common import topology
from services.common.bus import Bus, Delivery
from services.common.messages import TERMINAL_EVENTS, CancelMessage
from services.common.settings import CommonSettings
from services.common.storage import Storage
from tests.stack import Stack, eventually

Event = dict[str, Any]


class Watcher:
    """Follows the events of a stack from now on, and works on its broker and store by hand."""

    def __init__(self, bus: Bus, storage: Storage) -> None:
        self.bus = bus
        self.storage = storage
        self.events: list[Event] = []

    async def put(self, source: Path, name: str | None = None) -> str:
        """Store a file as an upload; its key."""
        key = f"uploads/{name or f'{uuid.uuid4()}{source.suffix}'}"
        await self.storage.upload(source, key, "application/octet-stream")
        return key

    async def request(self, input_path: str, output_format: str = "mp4", **more: Any) -> str:
        """Publish a work message with the four fields, and more if given; the job's id."""
        job_id = more.pop("job_id", None) or str(uuid.uuid4())
        message = {
            "job_id": job_id,
            "input_path": input_path,
            "output_format": output_format,
            "output_path": f"processed/{job_id}.{output_format}",
        } | more
        await self.bus.publish(topology.JOBS, topology.requested(output_format), orjson.dumps(message))
        return job_id

    async def cancel(self, job_id: str, attempt: int = 1) -> None:
        message = CancelMessage(job_id=job_id, attempt=attempt)
        await self.bus.publish(topology.CONTROL, topology.cancel_key(job_id), message.encode())

    def of(self, job_id: str, *kinds: str) -> list[Event]:
        """The job's events so far, of these kinds if any are named."""
        wanted = {f"job.{kind}" for kind in kinds}
        return [e for e in self.events if e["job_id"] == job_id and (not wanted or e["type"] in wanted)]

    async def seen(self, job_id: str, kind: str, count: int = 1, timeout: float = 120) -> Event:  # noqa: ASYNC109
        """The `count`-th event of this kind, waited for."""
        found = await eventually(lambda: self.of(job_id, kind)[count - 1 :], timeout=timeout)
        return found[0]

    async def outcome(self, job_id: str, timeout: float = 180) -> Event:  # noqa: ASYNC109
        """The job's terminal event, waited for."""
        ends = await eventually(lambda: [e for e in self.of(job_id) if e["type"] in TERMINAL_EVENTS], timeout=timeout)
        return ends[0]

    async def depth(self, queue: str) -> int:
        """Messages ready in a queue."""
        channel = await self.bus.channel()
        try:
            declared = await channel.declare_queue(queue, passive=True)
            return declared.declaration_result.message_count or 0
        finally:
            await channel.close()


@asynccontextmanager
async def watching(stack: Stack) -> AsyncIterator[Watcher]:
    """A watcher on a stack whose broker and store run."""
    settings = CommonSettings(**{k.lower(): v for k, v in stack.env.items() if k.startswith(("AMQP_URL", "S3_"))})
    bus = Bus(stack.amqp_url, name="test")
    async with Storage(settings) as storage:
        await storage.ensure_bucket()
        watcher = Watcher(bus, storage)
        seen: set[int] = set()

        def take(delivery: Delivery) -> None:
            bus.spawn(delivery.ack())
            if delivery.offset not in seen:
                seen.add(delivery.offset)
                event = orjson.loads(delivery.body)
                # A confirmation that came too late makes its publisher send the very same event once more.
                if event not in watcher.of(event["job_id"], event["type"].removeprefix("job.")):
                    watcher.events.append(event)

        tasks = [
            asyncio.create_task(bus.run()),
            asyncio.create_task(bus.consume(topology.EVENTS_STREAM, take, prefetch=200, offset="first")),
        ]
        try:
            await bus.wait_connected()
            yield watcher
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
