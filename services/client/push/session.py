"""What the three transports have in common."""

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol

from services.client.push.terms import Frame, Transport
from services.client.rest import Rest


@dataclass(frozen=True, slots=True)
class Asked:
    """What is watched: `known` continues from `after`, `new` begins with a snapshot.

    `known` is empty where there is no cursor; either may hold `ALL_JOBS`.  `ends_only` leaves out all events but those
    that end a job.
    """

    known: tuple[str, ...]
    new: tuple[str, ...]
    after: str | None
    ends_only: bool

    @property
    def targets(self) -> tuple[str, ...]:
        """All of it."""
        return self.known + self.new


@dataclass(frozen=True, slots=True)
class Opening:
    """What a session needs to open."""

    rest: Rest
    asked: Asked
    ticket: str | None


class Session(Protocol):
    """A feed that is open.  Frames are as the WebSocket carries them."""

    transport: Transport

    async def receive(self) -> Frame | None:
        """The next frame; None, at least every half minute, if there is none.

        Raises:
            SessionEndedError: the feed is lost.
        """

    async def add(self, job_ids: Collection[str]) -> None:
        """Watch these too, from a snapshot on."""

    async def mark(self) -> None:
        """Ask for a frame (`pong`, `beat`) that comes after all that is on its way now, if one isn't due anyway."""

    async def aclose(self) -> None:
        """Let go of it."""
