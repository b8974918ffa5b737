"""What is kept of the standard error of ffmpeg: its end, and how often it complained of the input.

A damaged film can make ffmpeg write megabytes, and a broken program need not write a newline at all.
"""

import re
from typing import Final

TAIL_BYTES: Final = 32 * 1024
_MAX_LINE: Final = 4 * 1024
_DAMAGE: Final = re.compile(
    rb"error while decoding|Error while decoding|concealing \d+|corrupt (?:decoded|input packet)|corrupted|"
    rb"Invalid NAL|invalid new backstep|Header missing|decode_slice_header error|no frame!|"
    rb"Error submitting packet to decoder|channel element .* is not allocated|"
    rb"Invalid data found when processing input|ac-tex damaged|invalid (?:cbp|mb_type|level prefix)|"
    rb"damaged at|overread|Prediction is not allowed"
)
_CUT_SHORT: Final = re.compile(rb"partial file|ended prematurely|[Tt]runcat|unexpected end|premature end")
# ffmpeg ends with 0 all the same when only the last of an output could not be written.
_NOT_WRITTEN: Final = re.compile(
    rb"Error writing trailer|Error closing file|av_interleaved_write_frame|Error muxing|"
    rb"No space left on device|File too large|Disk quota exceeded"
)


class StderrTail:
    """Takes bytes as they come; holds at most `TAIL_BYTES` of the last, and one unfinished line."""

    def __init__(self) -> None:
        self._tail = bytearray()
        self._line = b""
        self.damage = 0  # lines that speak of damaged media
        self.cut_short = False  # a line speaks of media that ends too early
        self.not_written = False  # a line speaks of an output that could not be written

    def feed(self, data: bytes) -> None:
        self._tail += data
        if len(self._tail) > TAIL_BYTES:
            del self._tail[:-TAIL_BYTES]
        *lines, rest = (self._line + data).replace(b"\r", b"\n").split(b"\n")
        self._line = rest[-_MAX_LINE:]
        for line in lines:
            if _DAMAGE.search(line, 0, _MAX_LINE):
                self.damage += 1
            if _CUT_SHORT.search(line, 0, _MAX_LINE):
                self.cut_short = True
            if _NOT_WRITTEN.search(line, 0, _MAX_LINE):
                self.not_written = True

    def text(self) -> str:
        """The tail, for the log and for `diagnose`."""
        return self._tail.decode(errors="replace")
