"""A door in a TCP connection that can be shut: cut what goes through it, or answer in the server's stead."""

import asyncio
import contextlib
from collections.abc import AsyncIterator

_CHUNK = 1 << 16
UNAVAILABLE = (
    b"HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/xml\r\nContent-Length: 39\r\n"
    b"Connection: close\r\n\r\n<Error><Code>SlowDown</Code></Error>\r\n\r\n"
)


class Gate:
    """Forwards connections to a port of this machine."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._writers: set[asyncio.StreamWriter] = set()
        self._server: asyncio.Server | None = None
        self._number = 0
        self.answer: bytes | None = None

    @property
    def port(self) -> int:
        assert self._server is not None
        return int(self._server.sockets[0].getsockname()[1]) if self._server.sockets else self._number

    async def open(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0)

    async def close(self) -> None:
        assert self._server is not None
        self._number = self.port
        self._server.close()
        self.cut()

    async def open_again(self) -> None:
        """Open on the port it had before it was closed."""
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self._number)

    def cut(self) -> int:
        """Cut all that goes through, without a goodbye; how many connections that were."""
        count = len(self._writers) // 2
        for writer in self._writers:
            writer.transport.abort()
        return count

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        if self.answer is not None:
            with contextlib.suppress(OSError):
                await reader.read(_CHUNK)
                writer.write(self.answer)
                await writer.drain()
            writer.close()
            return
        try:
            onward_reader, onward_writer = await asyncio.open_connection("127.0.0.1", self._target)
        except OSError:
            writer.transport.abort()
            return
        self._writers |= {writer, onward_writer}
        try:
            await asyncio.gather(_pump(reader, onward_writer), _pump(onward_reader, writer))
        finally:
            self._writers -= {writer, onward_writer}


async def _pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while data := await reader.read(_CHUNK):
            writer.write(data)
            await writer.drain()
    except OSError:
        writer.transport.abort()
    finally:
        with contextlib.suppress(OSError):
            writer.close()


@contextlib.asynccontextmanager
async def gate(target: int) -> AsyncIterator[Gate]:
    made = Gate(target)
    await made.open()
    try:
        yield made
    finally:
        await made.close()
