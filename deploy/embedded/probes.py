"""Readiness checks over the wire. Each answers yes or no and never raises for a server that isn't there."""

import anyio
from anyio.abc import ByteReceiveStream, SocketStream

from deploy.embedded.spec import AmqpProbe, HttpProbe, Probe, TcpProbe

_ATTEMPT_S = 2.0
_AMQP_HEADER = b"AMQP\x00\x00\x09\x01"
_AMQP_METHOD_FRAME = b"\x01"
_HTTP_STATUS_PARTS = 2


async def is_ready(probe: Probe) -> bool:
    """Try once, for at most two seconds."""
    with anyio.move_on_after(_ATTEMPT_S):
        try:
            async with await anyio.connect_tcp(probe.host, probe.port) as stream:
                return await _ask(probe, stream)
        except (OSError, anyio.BrokenResourceError, anyio.EndOfStream):
            return False
    return False


async def _ask(probe: Probe, stream: SocketStream) -> bool:
    match probe:
        case TcpProbe():
            return True
        case AmqpProbe():
            await stream.send(_AMQP_HEADER)
            return (await stream.receive(1)) == _AMQP_METHOD_FRAME
        case HttpProbe():
            request = f"GET {probe.path} HTTP/1.1\r\nHost: {probe.host}:{probe.port}\r\nConnection: close\r\n\r\n"
            await stream.send(request.encode())
            status = _status(await _first_line(stream))
            return status is not None and status < probe.status_below


async def _first_line(stream: ByteReceiveStream, limit: int = 4096) -> bytes:
    line = b""
    while b"\r\n" not in line and len(line) < limit:
        line += await stream.receive(limit)
    return line.partition(b"\r\n")[0]


def _status(line: bytes) -> int | None:
    parts = line.split(maxsplit=_HTTP_STATUS_PARTS)
    if len(parts) >= _HTTP_STATUS_PARTS and parts[0].startswith(b"HTTP/") and parts[1].isdigit():
        return int(parts[1])
    return None
