"""Progress: from ffmpeg's bytes, cut anywhere, to a percentage that never falls."""

import math
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.transcoder.progress import FfmpegProgress, Meter, ProgressParser

BLOCK = (
    b"frame=42\nfps=25.1\nstream_0_0_q=28.0\nbitrate= 100.5kbits/s\ntotal_size=1234\nout_time_us=1500000\n"
    b"out_time_ms=1500000\nout_time=00:00:01.500000\ndup_frames=0\ndrop_frames=0\nspeed=1.93x\nprogress=continue\n"
)


def feed(*chunks: bytes) -> list[FfmpegProgress]:
    parser = ProgressParser()
    return [block for chunk in chunks for block in parser.feed(chunk)]


def test_block() -> None:
    assert feed(BLOCK) == [FfmpegProgress(frame=42, fps=25.1, out_time_s=1.5, total_size=1234, speed=1.93)]


def test_end_is_told() -> None:
    assert [block.ended for block in feed(BLOCK, b"progress=end\n")] == [False, True]


@pytest.mark.parametrize(
    "value",
    [b"N/A", b"-9223372036854775808", b"9223372036854775807", b"-577014", b"", b"nan", b"inf", b"1e400", b"soon"],
)
def test_values_nobody_means_are_unknown(value: bytes) -> None:
    (block,) = feed(b"out_time_us=" + value + b"\nspeed=" + value + b"\nframe=" + value + b"\nprogress=continue\n")

    assert (block.out_time_s, block.speed, block.frame) == (None, None, None)


def test_out_time_ms_is_not_believed() -> None:
    (block,) = feed(b"out_time_ms=1500000\nprogress=continue\n")

    assert block.out_time_s is None


def test_a_field_does_not_leak_into_the_next_block() -> None:
    _, second = feed(BLOCK, b"frame=43\nprogress=continue\n")

    assert second == FfmpegProgress(frame=43)


@given(cuts=st.lists(st.integers(0, 3 * len(BLOCK)), max_size=8))
def test_chunks_may_be_cut_anywhere(cuts: list[int]) -> None:
    data = BLOCK * 3
    edges = [0, *sorted(cuts), len(data)]

    assert feed(*(data[a:b] for a, b in pairwise(edges))) == feed(BLOCK) * 3


@given(chunks=st.lists(st.binary(max_size=200), max_size=20))
def test_nonsense_is_survived(chunks: list[bytes]) -> None:
    for block in feed(*chunks, b"\nprogress=continue\n"):
        for value in (block.fps, block.out_time_s, block.speed):
            assert value is None or (math.isfinite(value) and value >= 0)


def test_a_line_without_end_is_not_kept() -> None:
    parser = ProgressParser()
    for _ in range(100):
        assert not list(parser.feed(b"x" * 10_000))

    assert list(parser.feed(b"\n" + BLOCK)) == feed(BLOCK)


def test_the_last_block_may_tell_of_another_output() -> None:
    blocks = feed(b"out_time_us=9000000\nprogress=continue\nout_time_us=2000000\nprogress=end\n")

    assert [block.out_time_s for block in blocks] == [9.0, 9.0]


def test_percent_of_one_pass() -> None:
    meter = Meter([10.0], [1.0], started_at=0.0)

    progress = meter.update(FfmpegProgress(out_time_s=2.5, fps=30.0, speed=2.0), now=5.0)

    assert (progress.percent, progress.fps, progress.speed, progress.eta_s) == (25.0, 30.0, 2.0, 15.0)


def test_passes_share_by_weight() -> None:
    meter = Meter([10.0, 10.0], [1.0, 3.0], started_at=0.0)

    assert meter.update(FfmpegProgress(out_time_s=8.0), 1.0).percent == 20.0
    assert meter.next_pass(FfmpegProgress(out_time_s=8.0), 1.0).percent == 25.0
    assert meter.update(FfmpegProgress(out_time_s=5.0), 2.0).percent == 62.5


def test_unknown_length_has_no_percent() -> None:
    meter = Meter([None], [1.0], started_at=0.0)

    progress = meter.update(FfmpegProgress(out_time_s=3.0, speed=2.0), 1.0)

    assert (progress.percent, progress.eta_s, progress.speed) == (None, None, 2.0)


def test_longer_than_announced_stays_below_the_end() -> None:
    meter = Meter([1.0], [1.0], started_at=0.0)

    assert meter.update(FfmpegProgress(out_time_s=2.0), 1.0).percent == 99.9


@given(
    durations=st.lists(st.one_of(st.none(), st.floats(-1, 1e6)), min_size=1, max_size=3),
    times=st.lists(st.one_of(st.none(), st.floats(0, 1e9)), max_size=30),
)
def test_percent_never_falls_nor_reaches_100(durations: list[float | None], times: list[float | None]) -> None:
    meter = Meter(durations, [1.0] * len(durations), started_at=0.0)
    seen: list[float] = []
    for number in range(len(durations)):
        for time in times:
            progress = meter.update(FfmpegProgress(out_time_s=time), float(number))
            if progress.percent is not None:
                seen.append(progress.percent)
        if number + 1 < len(durations):
            meter.next_pass(FfmpegProgress(), float(number))

    assert seen == sorted(seen)
    assert all(0 <= percent <= 99.9 for percent in seen)
