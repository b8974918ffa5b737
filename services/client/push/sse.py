"""The feed over Server-Sent Events."""

import asyncio
from collections import deque
from collections.abc import Collection
from http import HTTPStatus
from typing import Final

import aiohttp
import orjson
from yarl import URL

from services.client.push.session import Opening
from services.client.push.sse_parser import SseEvent, SseParser
from services.client.push.terms import Close, Ending, Frame, SessionEndedError, Transport, ending_of_status
from services.client.rest import retry_after

_HANDSHAKE_S: Final = 10.0
_SILENCE_S: Final = 45.0  # two of the server's beats


class SseSession:
    """See `Session`."""

    transport = Transport.SSE

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self._response = response
        self._parser = SseParser()
        self._waiting: deque[Frame] = deque()
        self._later: float | None = None

    async def receive(self) -> Frame | None:
        """See `Session`."""
        if self._waiting:
            return self._waiting.popleft()
        try:
            data = await self._response.content.readany()
        except (aiohttp.ClientError, TimeoutError, OSError):
            raise SessionEndedError(Ending(Close.LOST, "the connection broke")) from None
        if not data:
            raise SessionEndedError(Ending(Close.GOING_AWAY, "the server ended the stream", self._later))
        for event in self._parser.push(data):
            if (frame := self._frame(event)) is not None:
                self._waiting.append(frame)
        return self._waiting.popleft() if self._waiting else None

    async def add(self, job_ids: Collection[str]) -> None:
        """See `Session`: a stream's query can't be changed, so it has to be opened anew."""
        raise SessionEndedError(Ending(Close.AGAIN, f"{len(job_ids)} more to watch"))

    async def mark(self) -> None:
        """See `Session`: the server's beats come by themselves."""

    async def aclose(self) -> None:
        """See `Session`."""
        self._response.close()

    def _frame(self, event: SseEvent) -> Frame | None:
        """The event as the frame that the WebSocket would have carried."""
        if event.retry_s is not None:
            self._later = event.retry_s
        if not event.data:
            return {"type": "beat", "cursor": event.id} if event.id else None
        try:
            frame = orjson.loads(event.data)
        except orjson.JSONDecodeError:
            return None
        if not isinstance(frame, dict):
            return None
        if frame.get("type") == "goodbye":
            self._later = frame.get("retry_after_s")
        return {"type": event.event, **({"cursor": event.id} if event.id else {}), **frame}


async def open_sse(opening: Opening) -> tuple[SseSession, Frame]:
    """Open the stream; the session, and the frame that says that the subscription stands.

    Raises:
        SessionEndedError: it can't be had.
    """
    rest, asked = opening.rest, opening.asked
    query = [("job_id", job_id) for job_id in asked.targets]
    query += [("only", "terminal")] if asked.ends_only else []
    query += [("ticket", opening.ticket)] if opening.ticket else []
    headers = {"Accept": "text/event-stream", "Cache-Control": "no-store"}
    if asked.after is not None and not asked.new:
        headers["Last-Event-ID"] = asked.after
    request = rest.session.get(
        URL(f"{rest.url}/events").with_query(query),
        headers=headers,
        timeout=aiohttp.ClientTimeout(total=None, sock_connect=_HANDSHAKE_S, sock_read=_SILENCE_S),
        allow_redirects=False,
    )
    try:
        async with asyncio.timeout(_HANDSHAKE_S):
            return await _begun(await request)
    except (aiohttp.ClientError, TimeoutError, OSError):
        raise SessionEndedError(Ending(Close.LOST, "no connection")) from None


async def _begun(response: aiohttp.ClientResponse) -> tuple[SseSession, Frame]:
    if response.status != HTTPStatus.OK or response.content_type != "text/event-stream":
        response.close()
        raise SessionEndedError(ending_of_status(response.status, retry_after(response.headers)))
    session = SseSession(response)
    try:
        while (frame := await session.receive()) is None or frame.get("type") in ("hello", "error", "beat"):
            pass
    except BaseException:
        response.close()
        raise
    return session, frame
