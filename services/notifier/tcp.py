"""The socket's own part in not waiting for the dead and not hoarding for the slow."""

import asyncio
import socket
from typing import Final

# Without a bound the kernel takes megabytes for a client that does not read, and delivers them long out of date.
_SEND_BUFFER: Final = 128 << 10


def tune(transport: asyncio.Transport, *, give_up_after_s: float) -> None:
    """Bound what the kernel buffers, and how long it waits for a peer that acknowledges nothing."""
    sock = transport.get_extra_info("socket")
    if sock is None or sock.family not in {socket.AF_INET, socket.AF_INET6}:
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    if hasattr(socket, "TCP_USER_TIMEOUT"):
        sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, max(1, round(give_up_after_s * 1000)))
