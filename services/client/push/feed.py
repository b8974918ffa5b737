"""Keeps a feed alive: opens the transport that the ladder says, waits as it says, and hands frames on.

Pulled by `Watch`: nothing runs while nobody asks for the next frame, but for a look at a better transport.
"""

import asyncio
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

from services.client.errors import NotAllowedError, UnreachableError
from services.client.push.ladder import Ladder, NotWelcomeError
from services.client.push.polling import open_polling
from services.client.push.session import Asked, Opening, Session
from services.client.push.sse import open_sse
from services.client.push.terms import ALL_JOBS, Close, Ending, Frame, SessionEndedError, Transport
from services.client.push.ticket import fresh_ticket
from services.client.push.websocket import open_websocket
from services.client.rest import Rest

Opener = Callable[[Opening], Awaitable[tuple[Session, Frame]]]
OPENERS: Final[Mapping[Transport, Opener]] = {
    Transport.WEBSOCKET: open_websocket,
    Transport.SSE: open_sse,
    Transport.POLLING: open_polling,
}
_MAX_BY_ID: Final = 200  # the server takes no more by name; beyond that all are watched, and sorted out here


@dataclass(frozen=True, slots=True)
class WatchState:
    """How the feed is doing: `transport` is None while there is none, `retry_in_s` is the wait until the next try."""

    transport: Transport | None
    retry_in_s: float | None = None
    reason: str = ""


OnState = Callable[[WatchState], None]


@dataclass(frozen=True, slots=True)
class _Opened:
    session: Session
    frame: Frame
    targets: frozenset[str]


class Feed:
    """Frames about some jobs, or all.

    `cursor` is the place reached, by what came with one; it speaks for those jobs whose subscription was confirmed,
    and only those go on from it after a loss.
    """

    def __init__(
        self,
        rest: Rest,
        transports: Collection[Transport],
        *,
        after: str | None,
        ends_only: bool,
        on_state: OnState | None,
        give_up_after_s: float | None,
    ) -> None:
        self.cursor = after
        self.job_ids: dict[str, None] = {}
        self.all = False
        self._rest = rest
        self._ends_only = ends_only
        self._ladder = Ladder.of([transport for transport in Transport if transport in transports])
        self._tell = on_state or (lambda _: None)
        self._give_up_after_s = give_up_after_s
        self._covered: set[str] = set()  # what the cursor speaks for
        self._session: Session | None = None
        self._up_at = 0.0
        self._heard_at: float | None = None
        self._reopen = False
        self._probe: asyncio.Task[_Opened] | None = None
        self._probe_at = 0.0

    @property
    def transport(self) -> Transport | None:
        """What it arrives over, None while it doesn't."""
        return self._session.transport if self._session else None

    @property
    def targets(self) -> frozenset[str]:
        """What to ask the server for."""
        everything = self.all or len(self.job_ids) > _MAX_BY_ID
        return frozenset((ALL_JOBS,)) if everything else frozenset(self.job_ids)

    def want(self, job_ids: Iterable[str]) -> None:
        """Count these among the targets; `subscribe` tells the server."""
        for job_id in job_ids:
            if job_id == ALL_JOBS:
                self.all = True
            else:
                self.job_ids[job_id] = None

    def continue_all(self) -> None:
        """The cursor given speaks for all that is wanted so far."""
        self._covered = set(self.targets)

    async def subscribe(self, targets: Collection[str]) -> None:
        """Ask for these, from a snapshot on; where there is no session yet, the next one will."""
        if self._session is None or not targets:
            return
        try:
            await self._session.add(targets)
        except SessionEndedError as error:
            self._reopen = error.ending.code == Close.AGAIN
            await self._session.aclose()  # whoever waits for a frame finds it so

    async def mark(self) -> None:
        """Ask for a frame (`pong`, or the next `beat`) that comes after all that is on its way now."""
        if self._session is not None:
            with suppress(SessionEndedError):  # then it comes with the next session
                await self._session.mark()

    async def next(self) -> Frame | None:
        """The next frame, whatever it takes; None now and then, when there is none.

        Raises:
            NotAllowedError: the key is not good for watching.
            UnreachableError: nothing was heard for `give_up_after_s` seconds.
        """
        while True:
            try:
                return await self._receive()
            except SessionEndedError as error:
                again, self._reopen = self._reopen, False
                await self._lost(Ending(Close.AGAIN) if again else error.ending)

    async def aclose(self) -> None:
        """Let go of it."""
        session, self._session = self._session, None
        probe, self._probe = self._probe, None
        if session is not None:
            await session.aclose()
        if probe is not None:
            probe.cancel()
            with suppress(asyncio.CancelledError, SessionEndedError, NotAllowedError):
                await (await probe).session.aclose()

    async def _receive(self) -> Frame | None:
        """A frame of the session there is, of a better one that has come up, or of a new one."""
        if (better := self._better()) is not None:
            old, self._session = self._session, None
            frame = await self._came_up(better)
            if old is not None:
                await old.aclose()
        elif self._session is None:
            frame = await self._came_up(await self._open(self._ladder.transport))
        else:
            received = await self._session.receive()
            self._heard_at = asyncio.get_running_loop().time()
            if received is None:
                return None
            frame = received
        if isinstance(cursor := frame.get("cursor"), str):
            self.cursor = cursor
            self._covered |= {each for each in (frame.get("job_id"), *(frame.get("job_ids") or ())) if each}
        return frame

    async def _open(self, transport: Transport) -> _Opened:
        targets = self.targets
        known = targets & self._covered if self.cursor is not None else frozenset[str]()
        asked = Asked(tuple(known), tuple(targets - known), self.cursor if known else None, self._ends_only)
        ticket = None
        if self._rest.api_key and transport is not Transport.POLLING:
            ticket = await fresh_ticket(self._rest)
        session, frame = await OPENERS[transport](Opening(self._rest, asked, ticket))
        return _Opened(session, frame, targets)

    async def _came_up(self, opened: _Opened) -> Frame:
        session, now = opened.session, asyncio.get_running_loop().time()
        self._session, self._up_at, self._heard_at = session, now, now
        self._ladder.is_up(session.transport)
        if self._ladder.better:
            self._probe_at = now + self._ladder.probe_in()
        if opened.frame.get("cursor") is not None:
            self._covered |= opened.targets if session.transport is Transport.SSE else set()
        self._tell(WatchState(session.transport))
        await self.subscribe(self.targets - opened.targets)  # what was added meanwhile
        return opened.frame

    async def _lost(self, ending: Ending) -> None:
        now = asyncio.get_running_loop().time()
        lasted_s = now - self._up_at if self._session else None
        await self.aclose()
        try:
            delay = self._ladder.ended(ending, lasted_s)
        except NotWelcomeError as error:
            raise NotAllowedError(401, "Watching is not allowed with this key, or without one.") from error
        self._heard_at = now if self._heard_at is None else self._heard_at
        if self._give_up_after_s is not None and now + delay - self._heard_at > self._give_up_after_s:
            raise UnreachableError(str(self._rest.url), ending.reason)
        if ending.code != Close.AGAIN:
            self._tell(WatchState(None, delay, ending.reason))
        await asyncio.sleep(delay)

    def _better(self) -> _Opened | None:
        """A session over a better transport, looked for beside the one there is."""
        if self._session is None or self._ladder.better is None:
            return None
        now = asyncio.get_running_loop().time()
        if self._probe is None:
            if now >= self._probe_at:
                self._probe = asyncio.create_task(self._open(self._ladder.better))
            return None
        if not self._probe.done():
            return None
        probe, self._probe = self._probe, None
        self._probe_at = now + self._ladder.probe_in()
        try:
            return probe.result()
        except (SessionEndedError, NotAllowedError):
            return None
