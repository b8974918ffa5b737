"""Places in the event stream, as clients carry them from one notifier to another.

A cursor names the last message seen by its offset, and by a fingerprint of its body: offsets begin again at zero
when a stream is deleted and made anew, and only the fingerprint tells that a cursor belongs to the old one.
"""

import re
from typing import Final, NamedTuple
from zlib import crc32

_FORMAT: Final = re.compile(r"^([0-9a-f]{1,15})-([0-9a-f]{8})$")


class Cursor(NamedTuple):
    """Everything up to and including the message at `offset`; `mark` is that message's fingerprint."""

    offset: int
    mark: int

    def __str__(self) -> str:
        return f"{self.offset + 1:x}-{self.mark:08x}"


# Before the first message of a stream that has none yet.
ORIGIN: Final = Cursor(-1, 0)


def parse(text: str) -> Cursor | None:
    """The cursor that `text` stands for; None if it never was one of ours."""
    match = _FORMAT.match(text)
    if match is None:
        return None
    return Cursor(int(match[1], 16) - 1, int(match[2], 16))


def fingerprint(body: bytes) -> int:
    """Tells one message from another at the same offset of another stream; 32 bits."""
    return crc32(body)
