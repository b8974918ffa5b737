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
        return Size(_floor(size.width, even=even), _floor(size.height, even=even), size.sar)
    return Size(
        _nearest(across * scale, max_width or LARGEST_SIDE, even=even),
        _nearest(down * scale, max_height or LARGEST_SIDE, even=even),
    )


def _floor(length: int, *, even: bool) -> int:
    return max(2, length // 2 * 2) if even else length


def _nearest(length: Fraction, bound: int, *, even: bool) -> int:
    step = 2 if even else 1
    steps = int(length / step + Fraction(1, 2))
    return max(step, min(steps, bound // step) * step)
