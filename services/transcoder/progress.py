"""From what ffmpeg writes to `-progress pipe:1` to the progress of a job.

ffmpeg writes blocks of `name=value` lines, each ended by `progress=continue` or `progress=end`.  Values may be
`N/A` or the least 64-bit integer, and `out_time_ms` holds microseconds: only `out_time_us` is read.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from services.common.jobs import MAX_PERCENT_BEFORE_COMPLETED, Progress

_MAX_LINE: Final = 4096  # bytes; longer lines are not ffmpeg's
_MICROSECONDS: Final = 1_000_000
_MAX_SECONDS: Final = 1e9  # thirty years: beyond lie INT64_MIN and INT64_MAX in microseconds
_MIN_FRACTION_FOR_ETA: Final = 0.005


@dataclass(frozen=True, slots=True)
class FfmpegProgress:
    """One block.  `out_time_s` is the end of what was written so far, `total_size` its bytes; None is unknown."""

    frame: int | None = None
    fps: float | None = None
    out_time_s: float | None = None
    total_size: int | None = None
    speed: float | None = None
    ended: bool = False


class ProgressParser:
    """Takes bytes as they come, in pieces cut anywhere, and gives whole blocks.

    Their times never go back: the last block of ffmpeg 7 tells that of whichever output ended first.
    """

    def __init__(self) -> None:
        self._rest = b""
        self._fields: dict[bytes, bytes] = {}
        self._furthest_us: float | None = None

    def feed(self, data: bytes) -> Iterator[FfmpegProgress]:
        """The blocks that `data` completes."""
        *lines, rest = (self._rest + data).split(b"\n")
        self._rest = rest if len(rest) <= _MAX_LINE else b""
        for line in lines:
            name, found, value = line.strip().partition(b"=")
            if not found:
                continue
            if name == b"progress":
                yield self._block(ended=value.strip() == b"end")
            elif name in _WANTED:
                self._fields[name] = value.strip()

    def _block(self, *, ended: bool) -> FfmpegProgress:
        fields, self._fields = self._fields, {}
        time_us = _number(fields.get(b"out_time_us"))
        if time_us is not None:
            self._furthest_us = time_us = max(time_us, self._furthest_us or 0.0)
        return FfmpegProgress(
            frame=_whole(fields.get(b"frame")),
            fps=_number(fields.get(b"fps")),
            out_time_s=None if time_us is None else time_us / _MICROSECONDS,
            total_size=_whole(fields.get(b"total_size")),
            speed=_number(fields.get(b"speed")),
            ended=ended,
        )


_WANTED: Final = frozenset({b"frame", b"fps", b"out_time_us", b"total_size", b"speed"})


def _number(value: bytes | None) -> float | None:
    """A number that ffmpeg can have meant: finite, not negative, not absurdly large."""
    try:
        number = float((value or b"").rstrip(b"x"))
    except ValueError:
        return None
    return number if 0 <= number < _MAX_SECONDS * _MICROSECONDS else None


def _whole(value: bytes | None) -> int | None:
    number = _number(value)
    return None if number is None else int(number)


@dataclass(slots=True)
class Meter:
    """The progress of a whole job from that of its passes, one after the other.

    Attributes:
        durations_s: media seconds that each pass will write, None where unknown.
        weights: the share of each pass in the time of the job.
        started_at: when the first pass began, on the caller's clock in seconds.
        first: the share of the job that was done before these passes.
        last: the share that will be done after them.
    """

    durations_s: Sequence[float | None]
    weights: Sequence[float]
    started_at: float
    first: float = 0.0
    last: float = 1.0
    _pass: int = 0
    _percent: float | None = None

    def next_pass(self, last: FfmpegProgress, now: float) -> Progress:
        """The job's progress at `now`, when the pass under way is done, whatever time its `last` block tells."""
        progress = self.update(replace(last, out_time_s=self.durations_s[self._pass]), now)
        self._pass += 1
        return progress

    def update(self, block: FfmpegProgress, now: float) -> Progress:
        """The job's progress after `block` at `now`; its percent never falls and never reaches 100."""
        fraction = self._fraction(block)
        if fraction is not None:
            percent = min(round(100 * fraction, 1), MAX_PERCENT_BEFORE_COMPLETED)
            self._percent = max(percent, self._percent or 0.0)
        return Progress(
            percent=self._percent,
            fps=block.fps or None,
            speed=block.speed or None,
            eta_s=self._eta(fraction, now),
        )

    def _fraction(self, block: FfmpegProgress) -> float | None:
        duration = self.durations_s[self._pass]
        total = sum(self.weights)
        if not duration or duration <= 0 or total <= 0 or block.out_time_s is None:
            return None
        done = sum(self.weights[: self._pass]) + self.weights[self._pass] * min(block.out_time_s / duration, 1.0)
        return self.first + (self.last - self.first) * min(done / total, 1.0)

    def _eta(self, fraction: float | None, now: float) -> float | None:
        if fraction is None or fraction < _MIN_FRACTION_FOR_ETA:
            return None
        return round(max(0.0, (now - self.started_at) * (1 - fraction) / fraction), 1)
