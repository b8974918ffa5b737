"""Cuts a text/event-stream into its events, however the network cut it into chunks.  Pure.

See https://html.spec.whatwg.org/multipage/server-sent-events.html#event-stream-interpretation
"""

import codecs
import re
from dataclasses import dataclass
from typing import Final

# A lone CR at the very end may be the first half of a CRLF.
_LINE_END: Final = re.compile(r"\r\n|\n|\r(?!\Z)")


@dataclass(frozen=True, slots=True)
class SseEvent:
    """An event; `data` is empty for one that only moves the last id on, or only sets the retry time."""

    event: str
    data: str
    id: str | None
    retry_s: float | None = None


class SseParser:
    """Feed it bytes, take events."""

    def __init__(self) -> None:
        self._decode = codecs.getincrementaldecoder("utf-8")(errors="replace").decode
        self._rest = ""
        self._reset()

    def push(self, data: bytes) -> list[SseEvent]:
        """The events that became whole."""
        *lines, self._rest = _LINE_END.split(self._rest + self._decode(data))
        events = []
        for line in lines:
            if line:
                self._field(line)
            elif self._data or self._id is not None or self._retry_s is not None:
                events.append(SseEvent(self._event, "\n".join(self._data), self._id, self._retry_s))
                self._reset()
            else:
                self._reset()
        return events

    def _reset(self) -> None:
        self._event = "message"
        self._data: list[str] = []
        self._id: str | None = None
        self._retry_s: float | None = None

    def _field(self, line: str) -> None:
        name, _, value = line.partition(":")
        value = value.removeprefix(" ")
        match name:
            case "data":
                self._data.append(value)
            case "event":
                self._event = value
            case "id":
                self._id = value
            case "retry" if value.isascii() and value.isdigit():
                self._retry_s = int(value) / 1000
            case _:
                pass  # a comment, which only keeps the line open, or a field of another time
