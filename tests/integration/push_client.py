"""What stands outside the notifier: programs that publish events, and clients of several kinds that watch."""

import asyncio
import base64
import os
import re
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import aiohttp
import orjson

from deploy.embedded.ports import free_ports
from deploy.embedded.process import ManagedProcess
from deploy.embedded.spec import HttpProbe
from services.common import topology
from services.common.bus import Bus
from tests import buses
from tests.stack import Stack, eventually
from tests.unit.notifier.push_world import Stream, parse_frames

Message = dict[str, Any]


class Publisher:
    """Publishes events as gateway and transcoder do, confirmed, in order."""

    def __init__(self, bus: Bus) -> None:
        self.bus = bus
        self._events = Stream()

    async def publish(self, kind: str, job_id: str, *, tenant: str = "default", **more: Any) -> bytes:
        self._events.publish(kind, job_id, tenant=tenant, **more)
        body = self._events.bodies[-1]
        await self.bus.publish(topology.EVENTS, f"job.{kind}.{tenant}.{job_id}", body)
        return body

    async def publish_many(self, count: int, kind: str, job_id: Callable[[int], str], **more: Any) -> None:
        for start in range(0, count, 200):
            jobs = [job_id(number) for number in range(start, min(count, start + 200))]
            await asyncio.gather(*(self.publish(kind, job, **more) for job in jobs))


@asynccontextmanager
async def publishing(stack: Stack) -> AsyncIterator[Publisher]:
    async with buses.connected(stack.amqp_url) as bus:
        yield Publisher(bus)


class Socket:
    """A WebSocket client that keeps all it is sent."""

    def __init__(self, websocket: aiohttp.ClientWebSocketResponse) -> None:
        self.websocket = websocket
        self.received: list[Message] = []
        self.close_code: int | None = None
        self.close_reason: str | None = None
        self.ended = asyncio.Event()
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        try:
            while (message := await self.websocket.receive()).type is aiohttp.WSMsgType.TEXT:
                self.received.append(orjson.loads(message.data))
            self.close_code = self.websocket.close_code
            self.close_reason = message.extra if message.type is aiohttp.WSMsgType.CLOSE else None
        finally:
            self.ended.set()

    @property
    def events(self) -> list[Message]:
        return [m for m in self.received if m["type"].startswith("job.")]

    @property
    def cursor(self) -> str:
        return next(m["cursor"] for m in reversed(self.received) if m.get("cursor"))

    async def say(self, **message: Any) -> None:
        await self.websocket.send_str(orjson.dumps(message).decode())

    async def until(self, kind: str, count: int = 1, **fields: Any) -> Message:
        """The `count`-th message of this type with these fields, waited for."""

        def found() -> Message | None:
            wanted = [m for m in self.received if m["type"] == kind and fields.items() <= m.items()]
            return wanted[count - 1] if len(wanted) >= count else None

        message = await eventually(found, every=0.01)
        assert message is not None
        return message

    async def subscribe(self, job_id: str = "*", **more: Any) -> Message:
        count = 1 + sum(m["type"] == "subscribed" for m in self.received)
        await self.say(type="subscribe", job_id=job_id, **more)
        return await self.until("subscribed", count)

    async def closed(self) -> tuple[int | None, str | None]:
        async with asyncio.timeout(60):
            await self.ended.wait()
        return self.close_code, self.close_reason

    async def close(self) -> None:
        await self.websocket.close()
        await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def connected(url: str, **options: Any) -> AsyncIterator[Socket]:
    """A client at `url` (of a notifier or a front door)."""
    query = options.pop("query", "")
    async with aiohttp.ClientSession() as session:
        client = Socket(await session.ws_connect(f"{url}/ws{query}", **options))
        try:
            yield client
        finally:
            await client.close()


class EventSource:
    """A client of Server-Sent Events: parses as the HTML standard says."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self.messages: list[Message] = []
        self.last_event_id = ""
        self.retry_ms: int | None = None
        self.comments = 0
        self._task = asyncio.create_task(self._read())

    async def _read(self) -> None:
        data: list[str] = []
        async for raw in self.response.content:
            line = raw.decode().rstrip("\n")
            name, _, value = line.partition(":")
            value = value.removeprefix(" ")
            if not line and data:
                self.messages.append({**orjson.loads("\n".join(data)), "id": self.last_event_id})
                data = []
            elif line.startswith(":"):
                self.comments += 1
            elif name == "data":
                data.append(value)
            elif name == "id":
                self.last_event_id = value
            elif name == "retry":
                self.retry_ms = int(value)

    async def until(self, kind: str) -> Message:
        found = await eventually(lambda: [m for m in self.messages if m["type"] == kind], every=0.01)
        return found[0]

    async def ended(self) -> None:
        async with asyncio.timeout(60):
            await asyncio.gather(self._task, return_exceptions=True)


@asynccontextmanager
async def listening(url: str, query: str = "", **headers: str) -> AsyncIterator[EventSource]:
    """An event stream at `url`."""
    async with (
        aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=None), read_bufsize=32 << 20) as session,
        session.get(f"{url}/events{query}", headers=headers) as response,
    ):
        assert response.status == 200, await response.text()
        source = EventSource(response)
        try:
            yield source
        finally:
            source._task.cancel()
            await asyncio.gather(source._task, return_exceptions=True)


class DeafSocket:
    """A WebSocket on a bare socket: it reads only when told to, and never answers a ping."""

    def __init__(self, url: str, *, receive_buffer: int | None = None) -> None:
        host, port = re.fullmatch(r"http://([^:/]+):(\d+)", url).groups()  # type: ignore[union-attr]
        self.socket = socket.socket()
        if receive_buffer is not None:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, receive_buffer)
        self.socket.settimeout(60)
        self.socket.connect((host, int(port)))
        key = base64.b64encode(os.urandom(16)).decode()
        self.socket.sendall(
            f"GET /ws HTTP/1.1\r\nHost: {host}:{port}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n".encode()
        )
        head = b""
        while b"\r\n\r\n" not in head:
            head += self.socket.recv(1)
        assert b" 101 " in head
        self.rest = b""

    def say(self, **message: Any) -> None:
        payload = orjson.dumps(message)
        assert len(payload) < 126
        self.socket.sendall(bytes((0x81, 0x80 | len(payload))) + b"\0\0\0\0" + payload)

    async def read_all(self) -> list[tuple[int, bytes]]:
        """All frames until the end of the connection."""
        data = self.rest
        self.socket.setblocking(False)  # noqa: FBT003
        async with asyncio.timeout(60):
            while True:
                try:
                    some = await asyncio.get_running_loop().sock_recv(self.socket, 1 << 16)
                except ConnectionResetError:
                    break
                if not some:
                    break
                data += some
        frames, _ = parse_frames(data)
        return frames

    def close(self) -> None:
        self.socket.close()


@asynccontextmanager
async def another_notifier(stack: Stack, **env: str) -> AsyncIterator[tuple[str, ManagedProcess]]:
    """One more notifier beside the stack's own: its address, and its process."""
    (port,) = free_ports(1)
    spec = stack.system.processes["notifier"]
    spec = replace(
        spec,
        env={**spec.env, **env, "NOTIFIER_PORT": str(port)},
        log=spec.log.with_name(f"notifier-{port}.log"),
        ready=HttpProbe("127.0.0.1", port),
    )
    process = ManagedProcess(spec, stack._guardian)
    await process.start()
    try:
        await process.wait_ready()
        yield f"http://127.0.0.1:{port}", process
    finally:
        await process.stop()


async def metric(url: str, name: str) -> dict[str, float]:
    """The samples of a metric, by their labels."""
    async with aiohttp.ClientSession() as session, session.get(f"{url}/metrics") as response:
        text = await response.text()
    return {
        labels or "": float(value)
        for labels, value in re.findall(rf"^{name}(\{{.*\}})? ([0-9.e+-]+)$", text, re.MULTILINE)
    }
