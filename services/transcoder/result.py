"""How a run of ffmpeg or ffprobe ended, as data."""

from dataclasses import dataclass
from typing import Final, Literal

from services.transcoder.progress import FfmpegProgress

Stopped = Literal["stalled", "timeout"]
NO_PROGRESS: Final = FfmpegProgress()


@dataclass(frozen=True, slots=True)
class Result:
    """How a program ended.

    Attributes:
        returncode: its exit code, negative for a signal.
        stderr: the end of its standard error.
        stdout: the beginning of its standard output, if it was asked to be kept.
        damage: how many lines of its standard error speak of damaged media.
        cut_short: True if one speaks of media that ends too early.
        not_written: True if one speaks of an output that could not be written.
        last: the last progress it told.
        stopped: why we ended it, None if it ended by itself.
        elapsed_s: how long it ran.
    """

    returncode: int
    stderr: str = ""
    stdout: bytes = b""
    damage: int = 0
    cut_short: bool = False
    not_written: bool = False
    last: FfmpegProgress = NO_PROGRESS
    stopped: Stopped | None = None
    elapsed_s: float = 0.0

    @property
    def succeeded(self) -> bool:
        """True if it ended by itself and has written what it should."""
        return self.returncode == 0 and self.stopped is None and not self.not_written
