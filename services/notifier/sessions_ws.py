"""WebSocket connections: bytes in and out, no decisions.

aiohttp shakes hands and reads frames; writing goes past it, straight to the transport, because the hub's frames are
complete and shared by all who get them.  Nothing else writes, so frames can't interleave.
"""

import asyncio
from typing import Final

from aiohttp import WSMsgType, web

from services.notifier.connection import Connection
from services.notifier.driver import Driver
from services.notifier.frames import Flavour, ws_close
from services.notifier.tcp import tune

_CLOSE_TIMEOUT_S: Final = 2.0
_DEFLATE_WINDOW: Final = 15  # bits; the hub's frames are made with it


class WebSocketSink:
    """A WebSocket's way out."""

    __slots__ = ("_closing", "_response", "pipe")

    def __init__(self, response: web.WebSocketResponse, transport: asyncio.Transport) -> None:
        self.pipe = transport
        self._response = response
        self._closing = False

    @property
    def closed(self) -> bool:
        """True once a close frame was sent, by us or by aiohttp, or the client is gone."""
        return self._closing or self.pipe.is_closing() or self._response.closed

    def close(self, code: int, reason: str) -> None:
        """Send a close frame, and cut the connection if the client does not answer it."""
        if self.closed:
            return
        self._closing = True
        self.pipe.write(ws_close(code, reason))
        asyncio.get_running_loop().call_later(_CLOSE_TIMEOUT_S, self.pipe.abort)

    def drop(self) -> None:
        """Cut the connection."""
        self._closing = True
        self.pipe.abort()


def make_response(max_message_bytes: int, *, compress: bool) -> web.WebSocketResponse:
    """A WebSocket as the sessions want it: they see pings and closes themselves."""
    return web.WebSocketResponse(
        heartbeat=None,
        autoping=False,
        autoclose=False,
        compress=compress,
        max_msg_size=max_message_bytes,
        timeout=_CLOSE_TIMEOUT_S,
    )


async def serve_websocket(
    request: web.Request, response: web.WebSocketResponse, driver: Driver, tenant: str, *, heartbeat_s: float
) -> web.StreamResponse:
    """Serve one client until it is gone; `response` is prepared."""
    transport = request.transport
    if transport is None:
        return response
    tune(transport, give_up_after_s=2 * heartbeat_s)
    # A client that agreed to compression may still be sent plain frames.
    flavour = Flavour.WS_DEFLATE if response.compress == _DEFLATE_WINDOW else Flavour.WS
    connection = driver.connect(WebSocketSink(response, transport), tenant, flavour)
    try:
        await _listen(response, driver, connection)
    finally:
        driver.disconnect(connection)
        if connection.sink.closed:
            transport.close()  # our close frame is out; without this aiohttp would send a second one
    return response


async def _listen(response: web.WebSocketResponse, driver: Driver, connection: Connection) -> None:
    while True:
        message = await response.receive()
        kind = message.type
        if kind is WSMsgType.TEXT:
            driver.receive(connection, message.data)
        elif kind is WSMsgType.BINARY:
            driver.receive(connection, None)
        elif kind is WSMsgType.PING:
            driver.pinged(connection, bytes(message.data))
        elif kind is WSMsgType.PONG:
            driver.alive(connection)
        else:  # closed, by whomever, or broken
            return
