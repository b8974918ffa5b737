"""How large the picture becomes: upright, within its bounds, and even where the coder needs it."""

from dataclasses import dataclass
from fractions import Fraction
from typing import Final

from services.transcoder.media import SQUARE, VideoStream

LARGEST_SIDE: Final = 8192
_ODDEST_SHAPE: Final = 16  # a pixel longer than this many times its other side is a broken header


@dataclass(frozen=True, slots=True)
class Size:
    """Pixels across and down, and the width of a pixel over its height."""

    width: int
    height: int
    sar: Fraction = SQUARE


def shown_size(stream: VideoStream) -> Size:
    """The size of `stream` once ffmpeg has turned it upright."""
    sar = stream.sar if 1 / Fraction(_ODDEST_SHAPE) < stream.sar < _ODDEST_SHAPE else SQUARE
    if stream.rotation % 180 == 90:  # noqa: PLR2004 -- a quarter turn
        return Size(stream.height, stream.width, 1 / sar)
    return Size(stream.width, stream.height, sar)


def target_size(size: Size, *, max_width: int | None, max_height: int | None, square: bool, even: bool = True) -> Size:
    """The size to encode.

    Pixels keep their shape as long as nothing is scaled, for that loses nothing; a picture that is scaled
    gets square pixels.

    Args:
        size: as shown.
        max_width: bound in square pixels; the picture is never made larger.
        max_height: the same downwards.
        square: True for formats that know no other pixels.
        even: True for coders that halve the colour planes.
    """
    across = Fraction(size.width) * max(size.sar, SQUARE)
    down = Fraction(size.height) * max(1 / size.sar, SQUARE)
    scale = min(
        SQUARE,
        Fraction(max_width or LARGEST_SIDE) / across,
        Fraction(max_height or LARGEST_SIDE) / down,
    )
    if scale == 1 and not (square and size.sar != SQUARE):
        return Size(_fitting(size.width, even=even), _fitting(size.height, even=even), size.sar)
    return Size(_fitting(across * scale, even=even), _fitting(down * scale, even=even))


def _fitting(length: Fraction | int, *, even: bool) -> int:
    if not even:
        return max(1, int(length + Fraction(1, 2)))
    return max(2, int(length) // 2 * 2)
