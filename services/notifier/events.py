"""Events as the hub holds them: read once from the broker, encoded once, shared by everybody who gets them."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import orjson
from pydantic import ValidationError

from services.common.jobs import timestamp
from services.common.messages import EVENTS, TERMINAL_EVENTS
from services.notifier.cursors import Cursor
from services.notifier.frames import Flavour, encode, ws_payload, ws_text

_LOSSY: Final = "job.progress"


class Event:
    """One event of one job, ready to be sent.

    `frame` is its WebSocket frame, from which the other encodings are made when somebody needs them; `lossy` says
    that a newer event of the job makes it worthless; `time` is when it happened, in seconds since the epoch.
    """

    __slots__ = ("attempt", "cursor", "frame", "job_id", "lossy", "measured", "offset", "tenant", "terminal", "time")

    def __init__(self, cursor: Cursor, fields: Mapping[str, Any]) -> None:
        """`fields` as clients are to see them, without the cursor."""
        self.offset = cursor.offset
        self.cursor = str(cursor)
        self.tenant: str = fields["tenant"]
        self.job_id: str = fields["job_id"]
        self.attempt: int = fields["attempt"]
        self.terminal = fields["type"] in TERMINAL_EVENTS
        self.lossy = fields["type"] == _LOSSY
        self.time = datetime.fromisoformat(fields["time"]).timestamp()
        self.frame = ws_text(orjson.dumps({"type": fields["type"], **fields, "cursor": self.cursor}))
        self.measured = False

    def encode(self, flavour: Flavour) -> bytes:
        """The event for a connection of `flavour`."""
        if flavour is Flavour.WS:
            return self.frame
        return encode(flavour, ws_payload(self.frame), self.cursor)


class Batch:
    """Events that go out together; each encoding is made once, however many connections get it."""

    __slots__ = ("_encoded", "events")

    def __init__(self, events: Sequence[Event]) -> None:
        """`events` in the order of the stream."""
        self.events = events
        self._encoded: dict[Flavour, bytes] = {}

    def encode(self, flavour: Flavour) -> bytes:
        """All of the batch for a connection of `flavour`."""
        data = self._encoded.get(flavour)
        if data is None:
            data = b"".join([event.encode(flavour) for event in self.events])
            self._encoded[flavour] = data
        return data


def decode(body: bytes) -> dict[str, Any] | None:
    """The fields of a message of the stream; None if it is not an event we know.

    Fields added later are kept.  Those that decisions rest on are as the model has read them.
    """
    try:
        raw = orjson.loads(body)
        event = EVENTS.validate_python(raw)
    except (orjson.JSONDecodeError, ValidationError):
        return None
    if event.type == _LOSSY:
        raw.setdefault("progress", event.progress.model_dump())
    return {
        **raw,
        "job_id": event.job_id,
        "tenant": event.tenant,
        "attempt": event.attempt,
        "seq": event.seq,
        "status": event.status.value,
        "time": timestamp(event.time),
    }
