"""What the end of an ffmpeg run means: a reason a job failed, or what a finished output should warn of."""

import re
import signal
from dataclasses import dataclass
from typing import Final

from services.common.errors import ErrorCode, JobFailure
from services.common.jobs import Warning_
from services.transcoder.result import Result

_SIGNAL_BASE: Final = 128  # bubblewrap and shells tell a signal as 128 plus its number

# Of what is missing at the end, more than this share (and these seconds) fails the job, less than that is told.
_MISSING_FAILS: Final = 0.10
_MISSING_TOLD: Final = 0.02
_MISSING_FAILS_S: Final = 0.4
_MISSING_TOLD_S: Final = 0.25
_DAMAGE_TOLD: Final = 1
_DAMAGE_SERIOUS: Final = 25


@dataclass(frozen=True, slots=True)
class _Rule:
    pattern: re.Pattern[str]
    code: ErrorCode
    message: str | None = None


def _rule(pattern: str, code: ErrorCode, message: str | None = None) -> _Rule:
    return _Rule(re.compile(pattern), code, message)


_PIXELS: Final = r"Picture size \d+x\d+ (?:exceeds|is invalid)"
_TOO_MANY_PIXELS: Final = "The picture has more pixels than is accepted. Upload one of at most 8K."

# The first that matches counts: what is wrong with us comes before what is wrong with the file.
_RULES: Final = (
    _rule(_PIXELS, ErrorCode.TOO_LARGE, _TOO_MANY_PIXELS),
    _rule(
        r"Cannot allocate memory|[Oo]ut of memory|bad_alloc|malloc of size|get_buffer\(\) failed|"
        r"[Mm]emory allocation|[Ff]ailed to allocate|pthread_create\(?\)? failed",
        ErrorCode.OUT_OF_MEMORY,
    ),
    _rule(r"No space left on device|Disk quota exceeded", ErrorCode.DISK_FULL),
    _rule(
        r"File too large",
        ErrorCode.TOO_LARGE,
        "The result would be larger than is allowed. Choose a smaller size, a lower quality or a shorter piece.",
    ),
    _rule(r"moov atom not found|File ended prematurely", ErrorCode.TRUNCATED_INPUT),
    _rule(
        r"Too large number of skipped frames",
        ErrorCode.UNSUPPORTED,
        "This video stands still for longer than this format can hold. Choose mp4 or mkv.",
    ),
    _rule(
        r"Unknown decoder|Decoder .* not found|no decoder found|Decoding requested, but no decoder|"
        r"Unsupported codec|not currently supported|not yet implemented|not implemented",
        ErrorCode.UNSUPPORTED,
    ),
    _rule(
        r"Invalid data found when processing input|Error while decoding|Error submitting packet to decoder|"
        r"Conversion failed!.*error rate|Output file is empty|does not contain any stream|"
        r"Could not find codec parameters|Error while processing the decoded data",
        ErrorCode.CORRUPT_INPUT,
    ),
)


def failure(result: Result) -> JobFailure:
    """Why a run that did not end with 0, or that we ended, failed."""
    if result.stopped is not None:
        code = ErrorCode.STALLED if result.stopped == "stalled" else ErrorCode.TIMEOUT
        return JobFailure(code, detail=result.stderr)
    for rule in _RULES:
        if rule.pattern.search(result.stderr):
            return JobFailure(rule.code, rule.message, detail=result.stderr)
    return JobFailure(_by_signal(result.returncode), detail=f"exit {result.returncode}\n{result.stderr}")


def too_many_pixels(detail: str) -> JobFailure:
    """The failure of a picture that is larger than is accepted."""
    return JobFailure(ErrorCode.TOO_LARGE, _TOO_MANY_PIXELS, detail=detail)


def speaks_of_pixels(stderr: str) -> bool:
    """True if a decoder refused the size of a picture."""
    return re.search(_PIXELS, stderr) is not None


def _by_signal(returncode: int) -> ErrorCode:
    number = -returncode if returncode < 0 else returncode - _SIGNAL_BASE
    match number:
        case signal.SIGKILL:
            return ErrorCode.OUT_OF_MEMORY  # the kernel's answer to too much memory
        case signal.SIGXCPU:
            return ErrorCode.TIMEOUT
        case signal.SIGXFSZ:
            return ErrorCode.TOO_LARGE
        case _:
            return ErrorCode.INTERNAL


@dataclass(frozen=True, slots=True)
class Expected:
    """What an output should hold.

    Attributes:
        duration_s: its length in seconds; None if nobody knew.
        promised: True if the input itself declared that length for the streams used.
        guessed: True if the length was guessed from time stamps or a bitrate.
        frames: pictures; None if nobody knew.
        slack_s: seconds that say nothing, for some containers do not tell how long the last picture is shown.
    """

    duration_s: float | None = None
    promised: bool = False
    guessed: bool = False
    frames: int | None = None
    slack_s: float = 0.0

    @property
    def least_s(self) -> float | None:
        """The shortest length that is nothing to speak of."""
        if self.duration_s is None:
            return None
        return self.duration_s - max(_MISSING_TOLD_S, _MISSING_TOLD * self.duration_s, self.slack_s)


@dataclass(frozen=True, slots=True)
class Found:
    """What an output does hold; None where that could not be told."""

    duration_s: float | None = None
    frames: int | None = None


def looks_short(expected: Expected, found: Found) -> bool:
    """True if ffmpeg's own account of what it wrote is so short of what was expected that it needs a closer look.

    Its account ends with the time at which the last frame is decoded, some frames before it is shown, and some
    versions count less than they wrote.
    """
    if found.duration_s == 0 or found.frames == 0:
        return True
    least_s = expected.least_s
    time_short = least_s is not None and found.duration_s is not None and found.duration_s < least_s
    return time_short or _lacks_frames(expected, found)


def written(result: Result, expected: Expected, found: Found, *, size: int) -> list[Warning_]:
    """What to warn of in an output that ffmpeg calls done.

    Args:
        result: of the run that wrote it.
        expected: what it should hold.
        found: what it does hold.
        size: of the output in bytes.

    Raises:
        JobFailure: the output is empty, or too much of it is missing.
    """
    if size == 0 or found.frames == 0 or found.duration_s == 0:
        raise JobFailure(ErrorCode.CORRUPT_INPUT, detail=f"nothing was written\n{result.stderr}")
    return [*_missing(result, expected, found.duration_s), *_frames_missing(expected, found), *_damaged(result)]


def _missing(result: Result, expected: Expected, found_s: float | None) -> list[Warning_]:
    least_s = expected.least_s
    if expected.duration_s is None or least_s is None or found_s is None or found_s >= least_s:
        return [_CUT] if result.cut_short else []
    missing = expected.duration_s - found_s
    lengths = f"{_seconds(expected.duration_s)} of this file only {_seconds(found_s)}"
    evidence = expected.promised or result.cut_short
    if evidence and missing > max(_MISSING_FAILS_S, _MISSING_FAILS * expected.duration_s):
        raise JobFailure(
            ErrorCode.TRUNCATED_INPUT,
            f"Of the {lengths} are there. It was probably cut off while it was copied; upload the whole file again.",
            detail=result.stderr,
        )
    if expected.guessed:
        return []
    return [Warning_(code="truncated_input", message=f"Of the {lengths} were found.")]


_CUT: Final = Warning_(
    code="truncated_input",
    message="The end of the file looks cut off; everything that was there has been converted.",
)


def _lacks_frames(expected: Expected, found: Found) -> bool:
    if not expected.frames or found.frames is None:
        return False
    return found.frames < expected.frames * (1 - _MISSING_FAILS) - 1


def _frames_missing(expected: Expected, found: Found) -> list[Warning_]:
    if not _lacks_frames(expected, found):
        return []
    message = f"Of {expected.frames} pictures {found.frames} could be converted; the rest was missing or damaged."
    return [Warning_(code="frames_missing", message=message)]


def _damaged(result: Result) -> list[Warning_]:
    if result.damage < _DAMAGE_TOLD:
        return []
    places = "one place" if result.damage == 1 else f"{result.damage} places"
    much = " Expect visible or audible faults." if result.damage >= _DAMAGE_SERIOUS else ""
    return [
        Warning_(code="damaged_input", message=f"The file is damaged in {places}; it was repaired.{much}"),
    ]


def _seconds(seconds: float) -> str:
    whole = round(seconds)
    if seconds < 60:  # noqa: PLR2004 -- a minute
        return f"{seconds:.1f} s"
    hours, minutes = divmod(whole // 60, 60)
    return f"{hours}:{minutes:02d}:{whole % 60:02d}" if hours else f"{minutes}:{whole % 60:02d}"
