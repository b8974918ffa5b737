"""The terms of the push protocol, whatever the transport.  Pure."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import IntEnum, StrEnum
from typing import Any, Final

Frame = Mapping[str, Any]
ALL_JOBS: Final = "*"


class Transport(StrEnum):
    """How the feed arrives, the best first."""

    WEBSOCKET = "websocket"
    SSE = "sse"
    POLLING = "polling"


class Close(IntEnum):
    """Why a session ended: the close codes of the push protocol, whatever the transport."""

    GOING_AWAY = 1001
    LOST = 1006
    TRY_LATER = 1013
    NOT_ALLOWED = 4401
    WRONG_ORIGIN = 4403
    AGAIN = 4499  # ours alone: not lost, only to be opened anew at once


@dataclass(frozen=True, slots=True)
class Ending:
    """How a session ended, and the server's wish for the wait before the next one, in seconds."""

    code: int
    reason: str = ""
    retry_after_s: float | None = None


class SessionEndedError(Exception):
    """The session is over, or never began."""

    def __init__(self, ending: Ending) -> None:
        super().__init__(ending)
        self.ending = ending


def ending_of_status(status: int, retry_after_s: float | None = None) -> Ending:
    """A refused HTTP request in the terms of the push protocol."""
    codes = {401: Close.NOT_ALLOWED, 403: Close.WRONG_ORIGIN, 429: Close.TRY_LATER, 503: Close.TRY_LATER}
    return Ending(codes.get(status, Close.LOST), f"HTTP {status}", retry_after_s)
