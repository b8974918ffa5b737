"""The feed over a WebSocket: subscribe frames out, events in."""

import asyncio
from collections.abc import Collection
from typing import Any, Final

import aiohttp
import orjson

from services.client.push.session import Opening
from services.client.push.terms import ALL_JOBS, Close, Ending, Frame, SessionEndedError, Transport, ending_of_status
from services.client.rest import retry_after

_HANDSHAKE_S: Final = 10.0
_ASK_AFTER_S: Final = 25.0  # the server gives a sign of life more often than that
_ANSWER_WITHIN_S: Final = 10.0
_MAX_FRAME: Final = 64 << 20  # a snapshot of thousands of jobs comes in one


class WebSocketSession:
    """See `Session`."""

    transport = Transport.WEBSOCKET

    def __init__(self, socket: aiohttp.ClientWebSocketResponse, *, ends_only: bool) -> None:
        self._socket = socket
        self._filter = {"only": "terminal"} if ends_only else {}
        self._asked = False
        self._later: float | None = None

    async def receive(self) -> Frame | None:
        """See `Session`."""
        try:
            message = await self._socket.receive(timeout=_ANSWER_WITHIN_S if self._asked else _ASK_AFTER_S)
        except TimeoutError:
            if self._asked:
                raise SessionEndedError(Ending(Close.LOST, "the server fell silent")) from None
            self._asked = True
            await self._send({"type": "ping"})
            return None
        self._asked = False
        if message.type is aiohttp.WSMsgType.TEXT:
            return self._noted(_decoded(message.data))
        if message.type in (aiohttp.WSMsgType.CLOSE, aiohttp.WSMsgType.CLOSED, aiohttp.WSMsgType.CLOSING):
            code = self._socket.close_code or Close.LOST
            raise SessionEndedError(Ending(code, str(message.extra or ""), self._later))
        if message.type is aiohttp.WSMsgType.ERROR:
            raise SessionEndedError(Ending(Close.LOST, "the connection broke"))
        return None

    async def add(self, job_ids: Collection[str]) -> None:
        """See `Session`."""
        await self._send({"type": "subscribe", **_about(job_ids), **self._filter})

    async def continue_from(self, job_ids: Collection[str], after: str) -> None:
        """Watch these from a cursor on."""
        await self._send({"type": "subscribe", **_about(job_ids), **self._filter, "after": after})

    async def mark(self) -> None:
        """See `Session`."""
        await self._send({"type": "ping"})

    async def aclose(self) -> None:
        """See `Session`."""
        await self._socket.close()

    async def _send(self, message: dict[str, Any]) -> None:
        try:
            await self._socket.send_str(orjson.dumps(message).decode())
        except (aiohttp.ClientError, OSError):
            raise SessionEndedError(Ending(Close.LOST, "the connection broke")) from None

    def _noted(self, frame: Frame | None) -> Frame | None:
        if frame is not None and frame.get("type") == "goodbye":
            self._later = frame.get("retry_after_s")
        return frame


def _about(job_ids: Collection[str]) -> dict[str, Any]:
    if ALL_JOBS in job_ids:
        return {"job_id": ALL_JOBS}
    return {"job_id": next(iter(job_ids))} if len(job_ids) == 1 else {"job_ids": list(job_ids)}


def _decoded(text: str) -> Frame | None:
    try:
        frame = orjson.loads(text)
    except orjson.JSONDecodeError:
        return None
    return frame if isinstance(frame, dict) else None


async def open_websocket(opening: Opening) -> tuple[WebSocketSession, Frame]:
    """Open it and subscribe; the session, and the frame that says that the subscription stands.

    Raises:
        SessionEndedError: it can't be had.
    """
    rest, asked = opening.rest, opening.asked
    scheme = "wss" if rest.url.scheme == "https" else "ws"
    url = (rest.url / "ws").with_scheme(scheme)
    try:
        async with asyncio.timeout(_HANDSHAKE_S):
            socket = await rest.session.ws_connect(
                url.with_query({"ticket": opening.ticket} if opening.ticket else None),
                max_msg_size=_MAX_FRAME,
                timeout=aiohttp.ClientWSTimeout(ws_close=1.0),
            )
    except aiohttp.WSServerHandshakeError as error:
        raise SessionEndedError(ending_of_status(error.status, retry_after(error.headers or {}))) from None
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise SessionEndedError(Ending(Close.LOST, "no connection")) from None
    session = WebSocketSession(socket, ends_only=asked.ends_only)
    try:
        return session, await _subscribed(session, asked.known, asked.new, asked.after)
    except BaseException:
        await session.aclose()
        raise


async def _subscribed(
    session: WebSocketSession, known: Collection[str], new: Collection[str], after: str | None
) -> Frame:
    """Subscribe, what goes on from a cursor first.

    The rest waits for the answer: its own cursor is further on, and to continue from that would leave a gap.
    """
    if known and after is not None:
        await session.continue_from(known, after)
    else:
        await session.add([*known, *new])
    try:
        async with asyncio.timeout(_HANDSHAKE_S):
            while (frame := await session.receive()) is None or frame.get("type") in ("hello", "error"):
                pass
    except TimeoutError:
        raise SessionEndedError(Ending(Close.LOST, "no answer")) from None
    if known and after is not None and new:
        await session.add(new)
    return frame
