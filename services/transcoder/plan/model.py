"""The shapes that a plan is made of."""

from collections.abc import Mapping
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from services.common.formats import Format
from services.common.jobs import Plan, StreamPlan, Warning_
from services.common.options import Options
from services.transcoder.diagnose import Expected
from services.transcoder.media import MediaInfo

OUTPUT: Final = "output"  # names in the working directory; the output's has its format's extension
THUMBNAIL: Final = "thumbnail.jpg"
PALETTE: Final = "palette.png"
STATISTICS: Final = "passlog"

Hardware = Literal["nvenc", "qsv", "vaapi"]


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What the ffmpeg at hand can do.

    Attributes:
        encoders, filters: its names of those it was built with.
        hardware: the kind of hardware encoder to use, None for the processor.
        hardware_codecs: codecs that it encodes.
        threads: how many an encoder may use; None leaves it to the encoder.
    """

    encoders: frozenset[str] = frozenset()
    filters: frozenset[str] = frozenset()
    hardware: Hardware | None = None
    hardware_codecs: frozenset[str] = frozenset()
    threads: int | None = None


@dataclass(frozen=True, slots=True)
class Request:
    """What a plan is made from.

    Attributes:
        info: what the input holds.
        fmt: the format of the output.
        options: the wishes.
        able: what ffmpeg can do.
        source: ffmpeg's name of the input, relative to the working directory or absolute.
    """

    info: MediaInfo
    fmt: Format
    options: Options
    able: Capabilities
    source: str

    @property
    def start_s(self) -> float:
        """Seconds that are cut off at the beginning."""
        return self.options.trim.start_s if self.options.trim else 0.0


@dataclass(frozen=True, slots=True)
class Loudness:
    """What loudnorm's first pass measured of one track, as it writes it."""

    input_i: str
    input_tp: str
    input_lra: str
    input_thresh: str
    target_offset: str


@dataclass(frozen=True, slots=True)
class Decision:
    """What becomes of one input stream, and the arguments that make it so.

    Attributes:
        index: of the stream in the input.
        summary: the decision as the job shows it.
        args: for the output stream, each option without a stream specifier: `("-c", "aac", "-b", "160k")`.
        filters: of a chain, in order.
        overlay: input index of a subtitle track whose pictures are laid over it first.
    """

    index: int
    summary: StreamPlan
    args: tuple[str, ...] = ()
    filters: tuple[str, ...] = ()
    overlay: int | None = None
    warnings: tuple[Warning_, ...] = ()
    notes: tuple[str, ...] = ()

    @property
    def kept(self) -> bool:
        return self.summary.action != "drop"

    @property
    def copied(self) -> bool:
        return self.summary.action == "copy"


@dataclass(frozen=True, slots=True)
class Picture:
    """The picture that comes out: pixels, their shape, and frames a second (None if unknown)."""

    width: int
    height: int
    sar: Fraction
    rate: Fraction | None


@dataclass(frozen=True, slots=True)
class Pass:
    """One run of ffmpeg.

    Attributes:
        name: what it is for.
        argv: the whole command, the program by its name first.
        duration_s: media seconds it goes through; None if unknown.
        weight: its share of the time of the job.
    """

    name: Literal["measure", "palette", "analyse", "convert", "thumbnail"]
    argv: tuple[str, ...]
    duration_s: float | None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Estimate:
    """A guess before the work: bytes of the output and seconds of encoding; None where there is no ground."""

    size: int | None
    seconds: float | None


@dataclass(frozen=True, slots=True)
class TranscodePlan:
    """All that is to be done for a job.

    Attributes:
        summary: what the job shows: the fate of each stream and why.
        warnings: what will be lost.
        passes: the runs of ffmpeg in order.  A plan that needs loudness measured has only that run, and must
            be made again with what it measured.
        aside: a run beside them whose failure does not matter.
        output: the name of the main output.
        thumbnail: the name of the small picture, None if there will be none.
        expected: what the output should hold.
        estimate: of size and time.
        hardware: True if a hardware encoder is used.
        measures: input indexes of the tracks whose loudness is to be measured.
    """

    summary: Plan
    warnings: tuple[Warning_, ...]
    passes: tuple[Pass, ...]
    output: str
    thumbnail: str | None
    expected: Expected
    estimate: Estimate
    hardware: bool = False
    measures: tuple[int, ...] = ()
    aside: Pass | None = None

    @property
    def laborious(self) -> bool:
        """True if it keeps processors busy: with pictures that no hardware encodes."""
        return not self.hardware and any(
            stream.type == "video" and stream.action == "encode" for stream in self.summary.streams
        )


LoudnessByIndex = Mapping[int, Loudness]
