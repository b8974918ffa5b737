"""Sizes: upright, within bounds, even, and of the right shape."""

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.transcoder.media import VideoStream
from services.transcoder.plan.geometry import Size, shown_size, target_size

sides = st.integers(1, 8192)
bounds = st.one_of(st.none(), st.integers(16, 8192))
shapes = st.fractions(min_value=Fraction(1, 16), max_value=16, max_denominator=1000)


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (VideoStream(0, width=128, height=72), Size(128, 72)),
        (VideoStream(0, width=128, height=72, rotation=90), Size(72, 128)),
        (VideoStream(0, width=128, height=72, rotation=180), Size(128, 72)),
        (VideoStream(0, width=720, height=576, sar=Fraction(64, 45), rotation=270), Size(576, 720, Fraction(45, 64))),
        (VideoStream(0, width=720, height=576, sar=Fraction(1, 10**6)), Size(720, 576)),
    ],
)
def test_shown(stream: VideoStream, expected: Size) -> None:
    assert shown_size(stream) == expected


@pytest.mark.parametrize(
    ("size", "wish", "expected"),
    [
        (Size(1920, 1080), {}, Size(1920, 1080)),
        (Size(127, 71), {}, Size(126, 70)),
        (Size(1, 1), {}, Size(2, 2)),
        (Size(1920, 1080), {"max_height": 480}, Size(854, 480)),
        (Size(1920, 1080), {"max_height": 480, "max_width": 853}, Size(852, 480)),
        (Size(1080, 1920), {"max_height": 480}, Size(270, 480)),
        (Size(1920, 1080), {"max_height": 4320}, Size(1920, 1080)),
        (Size(720, 576, Fraction(64, 45)), {}, Size(720, 576, Fraction(64, 45))),
        (Size(720, 576, Fraction(64, 45)), {"max_height": 288}, Size(512, 288)),
        (Size(720, 576, Fraction(64, 45)), {"square": True}, Size(1024, 576)),
        (Size(720, 480, Fraction(8, 9)), {"square": True}, Size(720, 540)),
        (Size(127, 71), {"even": False}, Size(127, 71)),
        (Size(16384, 1024), {}, Size(8192, 512)),
    ],
)
def test_target(size: Size, wish: dict[str, object], expected: Size) -> None:
    assert target_size(size, **{"max_width": None, "max_height": None, "square": False, **wish}) == expected  # type: ignore[arg-type]


@given(st.builds(Size, sides, sides, shapes), bounds, bounds, st.booleans(), st.booleans())
def test_always_within_bounds_and_even(
    before: Size, max_width: int | None, max_height: int | None, square: bool, even: bool
) -> None:
    size = target_size(before, max_width=max_width, max_height=max_height, square=square, even=even)

    assert 1 <= size.width <= (max_width or 8192)
    assert 1 <= size.height <= (max_height or 8192)
    if even:
        assert size.width % 2 == size.height % 2 == 0
    if square:
        assert size.sar == 1


@given(st.integers(64, 8192), st.integers(64, 8192), shapes, st.integers(64, 8192))
def test_shape_is_kept(width: int, height: int, sar: Fraction, bound: int) -> None:
    before = Size(width, height, sar)
    after = target_size(before, max_width=bound, max_height=bound, square=False)

    wanted = before.width * before.sar / before.height
    got = after.width * after.sar / after.height
    # Two pixels of rounding on either side.
    slack = Fraction(2, min(after.width, after.height))
    assert wanted * (1 - slack) / (1 + slack) <= got <= wanted * (1 + slack) / (1 - slack) if slack < 1 else True
