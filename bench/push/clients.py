"""Many WebSocket clients in one process: they count what comes, and do as little else as they can."""

import asyncio
import base64
import os
from dataclasses import dataclass, field


def masked(text: str) -> bytes:
    """A short text frame as a client sends it; a mask of zeros is a mask."""
    payload = text.encode()
    assert len(payload) < 126
    return bytes((0x81, 0x80 | len(payload))) + b"\0\0\0\0" + payload


@dataclass
class Tally:
    """What all clients of a run have seen.  `marker` is counted: every event has it once."""

    marker: bytes
    up: int = 0
    lost: int = 0
    events: int = 0
    octets: int = 0
    arrivals: list[tuple[float, bytes]] = field(default_factory=list)


class Client(asyncio.Protocol):
    """One client."""

    def __init__(self, tally: Tally, path: str, hellos: list[str], *, keep: bool) -> None:
        self._tally = tally
        self._path = path
        self._hellos = hellos
        self._keep = keep
        self._head = b""
        self._open = False

    def connection_made(self, transport) -> None:
        self.transport = transport
        key = base64.b64encode(os.urandom(16)).decode()
        transport.write(
            (
                f"GET {self._path} HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                f"Sec-WebSocket-Key: {key}\r\nSec-WebSocket-Version: 13\r\n\r\n"
            ).encode()
        )

    def data_received(self, data: bytes) -> None:
        if not self._open:
            self._head += data
            end = self._head.find(b"\r\n\r\n")
            if end < 0:
                return
            if b" 101 " not in self._head[:20]:
                raise RuntimeError(self._head[:300].decode())
            self._open = True
            self._tally.up += 1
            for hello in self._hellos:
                self.transport.write(masked(hello))
            data = self._head[end + 4 :]
        self._tally.octets += len(data)
        self._tally.events += data.count(self._tally.marker)
        if self._keep and self._tally.marker in data:
            self._tally.arrivals.append((asyncio.get_running_loop().time(), data))

    def connection_lost(self, _) -> None:
        self._tally.lost += 1


async def connect(
    number: int, port: int, tally: Tally, *, path: str = "/ws", hellos: list[str], keep: int = 0
) -> list[Client]:
    """Open `number` connections; the first `keep` of them keep what they receive, with the time of its arrival."""
    loop = asyncio.get_running_loop()
    clients: list[Client] = []
    while len(clients) < number:
        some = min(100, number - len(clients))
        made = await asyncio.gather(
            *(
                loop.create_connection(lambda n=n: Client(tally, path, hellos, keep=n < keep), "127.0.0.1", port)
                for n in range(len(clients), len(clients) + some)
            )
        )
        clients += [client for _, client in made]
        while tally.up < len(clients):  # noqa: ASYNC110 -- the tally is shared by all
            await asyncio.sleep(0.01)
    return clients
