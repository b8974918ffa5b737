"""Media files as data, and short ways to their plans."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

from services.common.options import parse_options
from services.transcoder.media import AudioStream, MediaInfo, SubtitleStream, VideoStream
from services.transcoder.plan import Capabilities, TranscodePlan, make_plan

ABLE = Capabilities(
    encoders=frozenset({"libx264", "libx265", "libsvtav1", "libaom-av1", "libvpx-vp9"}),
    filters=frozenset({"zscale", "tonemap"}),
    threads=2,
)
VIDEO = VideoStream(
    index=0,
    codec="h264",
    profile="High",
    level=40,
    width=1920,
    height=1080,
    pix_fmt="yuv420p",
    frame_rate=Fraction(25),
    average_rate=Fraction(25),
    default=True,
)
AUDIO = AudioStream(
    index=1,
    codec="aac",
    profile="LC",
    channels=2,
    layout="stereo",
    sample_rate=48000,
    bit_rate=128_000,
    default=True,
)
TEXT = SubtitleStream(index=2, codec="subrip", text=True, language="deu")
PICTURES = SubtitleStream(index=2, codec="hdmv_pgs_subtitle", language="eng")
MKV = MediaInfo(formats=("matroska", "webm"), duration_s=60.0, size=10_000_000, video=(VIDEO,), audio=(AUDIO,))


def film(*, container: str = "matroska", audio: tuple[AudioStream, ...] = (AUDIO,), **picture: Any) -> MediaInfo:
    """`MKV` with another picture, other sound, another container."""
    return replace(MKV, formats=(container,), video=(replace(VIDEO, **picture),), audio=audio)


def plan(info: MediaInfo, output_format: str = "mp4", able: Capabilities = ABLE, /, **options: Any) -> TranscodePlan:
    """The plan for `options`, as a job would give them."""
    return make_plan(info, output_format, parse_options(options), able=able)


def argv(made: TranscodePlan) -> list[str]:
    """The arguments of the last run between the input and the thumbnail, which is where plans differ."""
    words = list(made.passes[-1].argv)
    start = max(number for number, word in enumerate(words) if word == "-i") + 2
    return words[start : words.index(f"file:{made.output}") + 1]


def fate(made: TranscodePlan, index: int = 0) -> tuple[str, str | None, str]:
    """What is done with stream `index`, to what, and why."""
    stream = next(stream for stream in made.summary.streams if stream.stream == index)
    return stream.action, stream.target, stream.reason


def filters(made: TranscodePlan, specifier: str = "v:0") -> str:
    """The filter chain of an output stream."""
    words = made.passes[-1].argv
    return words[words.index(f"-filter:{specifier}") + 1]


def option(made: TranscodePlan, name: str) -> str:
    """The value of an option of the last run."""
    words = argv(made)
    return words[words.index(name) + 1]
