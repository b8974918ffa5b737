"""Keep-alive HTTP connections that send the same request again and again, as fast as it is answered."""

import asyncio
import statistics
from dataclasses import dataclass, field
from time import perf_counter
from typing import cast


@dataclass
class Result:
    """Answers by status, and the seconds each took."""

    seconds: float = 0.0
    statuses: dict[int, int] = field(default_factory=dict)
    latencies: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return len(self.latencies) / self.seconds

    @property
    def median_ms(self) -> float:
        return statistics.median(self.latencies) * 1000

    @property
    def p99_ms(self) -> float:
        return sorted(self.latencies)[int(len(self.latencies) * 0.99)] * 1000


class _Client(asyncio.Protocol):
    """One connection.  Answers must carry a Content-Length, as both sides' do."""

    def __init__(self, request: bytes, result: Result, done: asyncio.Event, limit: int | None) -> None:
        self._request = request
        self._result = result
        self._done = done
        self._limit = limit
        self._buffer = b""
        self._begin = 0.0
        self._transport: asyncio.Transport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)  # uvloop's is one in all but name
        self._send()

    def _send(self) -> None:
        assert self._transport is not None
        if self._done.is_set():
            self._transport.close()
            return
        self._begin = perf_counter()
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        buffer = self._buffer = self._buffer + data if self._buffer else data
        head, end, body = buffer.partition(b"\r\n\r\n")
        if not end:
            return
        lower = head.lower()
        at = lower.index(b"content-length:") + 15
        if len(body) < int(lower[at:].split(b"\r\n", 1)[0]):
            return
        self._buffer = b""
        status = int(head[9:12])
        result = self._result
        result.statuses[status] = result.statuses.get(status, 0) + 1
        result.latencies.append(perf_counter() - self._begin)
        if self._limit is not None and len(result.latencies) >= self._limit:
            self._done.set()
        self._send()

    def connection_lost(self, error: Exception | None) -> None:
        if not self._done.is_set():
            raise RuntimeError(f"the server closed a connection: {error}")


def get(path: str) -> bytes:
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n\r\n".encode()


def post(path: str, body: bytes) -> bytes:
    head = (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nContent-Type: application/json\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode() + body


async def drive(
    port: int, request: bytes, *, connections: int = 32, seconds: float = 600.0, requests: int | None = None
) -> Result:
    """Send `request` on so many connections for `seconds`, or until so many `requests` were answered."""
    loop = asyncio.get_running_loop()
    result, done = Result(), asyncio.Event()
    begin = perf_counter()
    for _ in range(connections):
        await loop.create_connection(lambda: _Client(request, result, done, requests), "127.0.0.1", port)
    try:
        async with asyncio.timeout(seconds):
            await done.wait()
    except TimeoutError:
        done.set()
    result.seconds = perf_counter() - begin
    await asyncio.sleep(0.2)  # the last answers
    return result
