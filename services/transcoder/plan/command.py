"""From decisions to whole commands."""

from collections.abc import Iterable, Sequence
from typing import Final

from services.common.formats import Format
from services.transcoder.bounds import DEMUXERS, MAX_PIXELS, MAX_STREAMS
from services.transcoder.plan.model import PALETTE, THUMBNAIL, Decision, Request

# Options that would touch every stream of an output if they did not say which they mean.
_PER_STREAM: Final = frozenset({"-c", "-b", "-q", "-tag", "-threads", "-fps_mode", "-disposition", "-bsf"})
_MUXER_ARGS: Final[dict[str, tuple[str, ...]]] = {
    # The index goes to the front so that playing can start before the end is there.
    "mp4": ("-movflags", "+faststart", "-write_tmcd", "0"),
    "mov": ("-movflags", "+faststart", "-write_tmcd", "0"),
    "ipod": ("-movflags", "+faststart"),
    "gif": ("-loop", "0"),
    "webp": ("-loop", "0"),
}
# QuickTime has its own list of languages, under codes that are not always the standard's.
_QUICKTIME_LANGUAGES: Final = {
    "deu": "ger",
    "nld": "dut",
    "swe": "sve",
    "ell": "gre",
    "isl": "ice",
    "zho": "chi",
    "sqi": "alb",
    "fre": "fra",
}
_THUMBNAIL_QUALITY: Final = "5"
_PALETTE_MAKE: Final = "palettegen=stats_mode=diff"
_PALETTE_USE: Final = "paletteuse=dither=bayer:bayer_scale=4:diff_mode=rectangle"


def beginning(init: Sequence[str] = (), *, level: str = "warning") -> tuple[str, ...]:
    """The program and the options that are the same for all."""
    return (
        *("ffmpeg", "-hide_banner", "-nostdin", "-nostats", "-loglevel", f"repeat+level+{level}"),
        *("-progress", "pipe:1", "-stats_period", "0.25", "-y"),
        *init,
    )


def reading(request: Request, decoder: Sequence[str] = (), *, cut: bool = True) -> tuple[str, ...]:
    """The input, kept to the container that it was found to be; `cut` is False for the whole of it."""
    args = [
        *("-protocol_whitelist", "file", "-format_whitelist", request.info.formats[0] or DEMUXERS),
        *("-max_streams", str(MAX_STREAMS), "-max_pixels", str(MAX_PIXELS)),
    ]
    if request.able.threads:
        args += ["-threads", str(request.able.threads)]
    trim = request.options.trim
    if cut and trim is not None:
        if trim.start_s > 0:
            args += ["-ss", seconds(trim.start_s)]
        if trim.end_s is not None:
            args += ["-t", seconds(trim.end_s - trim.start_s)]
    return (*args, *decoder, "-i", f"file:{request.source}")


def streams(decisions: Iterable[Decision]) -> tuple[str, ...]:
    """The kept streams: which, and what is done with each."""
    args: list[str] = []
    counts: dict[str, int] = {}
    for decision in decisions:
        kind = {"video": "v", "audio": "a", "subtitle": "s"}.get(decision.summary.type, "t")
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        args += stream(decision, f"{kind}:{number}")
    return tuple(args)


def stream(decision: Decision, specifier: str) -> tuple[str, ...]:
    """One kept stream, as output stream `specifier`."""
    options = [f"{arg}:{specifier}" if arg in _PER_STREAM else arg for arg in decision.args]
    if decision.overlay is not None:
        return ("-filter_complex", f"{_source(decision)}{_chain(decision)}[out]", "-map", "[out]", *options)
    filters = ("-filter:" + specifier, ",".join(decision.filters)) if decision.filters else ()
    return ("-map", f"0:{decision.index}", *filters, *options)


def _source(decision: Decision) -> str:
    """The beginning of a filter graph: the picture, with the pictures of text over it."""
    if decision.overlay is None:
        return f"[0:{decision.index}]"
    return f"[0:{decision.index}][0:{decision.overlay}]overlay=eof_action=pass,"


def _chain(decision: Decision, *more: str) -> str:
    return ",".join((*decision.filters, *more)) or "null"


def writing(fmt: Format, output: str) -> tuple[str, ...]:
    """The output."""
    return (*_MUXER_ARGS.get(fmt.muxer, ()), "-max_muxing_queue_size", "4096", "-f", fmt.muxer, f"file:{output}")


def nowhere() -> tuple[str, ...]:
    """An output that only costs the reading."""
    return ("-f", "null", "-")


def thumbnail(stream_name: str, filters: Sequence[str]) -> tuple[str, ...]:
    """One frame of `stream_name` as a small jpeg."""
    return (
        *("-map", stream_name, "-filter:v", ",".join(filters)),
        *("-frames:v", "1", "-fps_mode", "passthrough", "-map_metadata", "-1"),
        *("-c:v", "mjpeg", "-q:v", _THUMBNAIL_QUALITY, "-strict", "unofficial", "-color_range", "pc"),
        *("-update", "1", "-f", "image2", f"file:{THUMBNAIL}"),
    )


def key_frames(request: Request, at_s: float) -> tuple[str, ...]:
    """The input, of which only key frames from `at_s` on are decoded."""
    args = reading(request, cut=False)
    return (*args[:-2], "-skip_frame:v", "nokey", "-ss", seconds(at_s), "-noaccurate_seek", *args[-2:])


def counted(decision: Decision) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """One kept stream of an encoder that keeps all to itself until the end, and an output that tells how far it is."""
    graph = f"{_source(decision)}{_chain(decision, 'split')}[out][counted]"
    options = [f"{arg}:v:0" if arg in _PER_STREAM else arg for arg in decision.args]
    return ("-filter_complex", graph, "-map", "[out]", *options), ("-map", "[counted]", *nowhere())


def finding_colours(decision: Decision) -> tuple[str, ...]:
    """Finds the palette of a gif; the first output is there to tell how far it is."""
    graph = f"{_source(decision)}{_chain(decision, 'split')}[counted][seen];[seen]{_PALETTE_MAKE}[colours]"
    return (
        *("-filter_complex", graph, "-map", "[counted]", *nowhere()),
        *("-map", "[colours]", "-frames:v", "1", "-update", "1", "-c:v", "png", "-f", "image2", f"file:{PALETTE}"),
    )


def using_colours(decision: Decision) -> tuple[str, ...]:
    """The gif itself, in the colours of the second input."""
    graph = f"{_source(decision)}{_chain(decision)}[seen];[seen][1:0]{_PALETTE_USE}[out]"
    return ("-filter_complex", graph, "-map", "[out]", "-c:v", "gif", "-fps_mode:v:0", "vfr")


def reading_palette() -> tuple[str, ...]:
    return ("-protocol_whitelist", "file", "-f", "png_pipe", "-i", f"file:{PALETTE}")


def metadata(request: Request, kept: Sequence[Decision]) -> tuple[str, ...]:
    """What becomes of titles and the like: ffmpeg keeps them by itself; without them languages still stay."""
    strip = request.options.metadata == "strip"
    args = ["-map_metadata", "-1", "-map_chapters", "-1"] if strip else []
    languages = {stream.index: stream.language for stream in (*request.info.audio, *request.info.subtitles)}
    counts: dict[str, int] = {}
    for decision in kept:
        kind = {"audio": "a", "subtitle": "s"}.get(decision.summary.type)
        if kind is None:
            continue
        number = counts.get(kind, 0)
        counts[kind] = number + 1
        language = languages.get(decision.index)
        if request.fmt.muxer == "mov":
            language = _QUICKTIME_LANGUAGES.get(language or "", language)
        if language and (strip or language != languages[decision.index]):
            args += [f"-metadata:s:{kind}:{number}", f"language={language}"]
    return tuple(args)


def default_marks(kept: Sequence[Decision], default: int | None) -> tuple[str, ...]:
    """Marks the sound track of input index `default` as the one to play, and no other."""
    tracks = [decision for decision in kept if decision.summary.type == "audio"]
    args: list[str] = []
    for number, decision in enumerate(tracks):
        args += [f"-disposition:a:{number}", "+default" if decision.index == default else "-default"]
    return tuple(args)


def seconds(value: float) -> str:
    """As ffmpeg takes it: plain decimals, microseconds."""
    return f"{value:.6f}".rstrip("0").rstrip(".")
