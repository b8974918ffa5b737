"""What becomes of subtitles: kept where the container has them, drawn into the picture, or dropped."""

from typing import Final

from services.common.errors import ErrorCode, JobFailure
from services.common.jobs import StreamPlan, Warning_
from services.common.options import Options
from services.transcoder.media import MediaInfo, SubtitleStream
from services.transcoder.plan import containers
from services.transcoder.plan.command import seconds
from services.transcoder.plan.model import Decision, Request

_HIDING: Final = frozenset({"mp4", "mov"})  # their edit lists say what is shown
_ENCODERS: Final = {"mov_text": "mov_text", "subrip": "srt", "ass": "ass", "webvtt": "webvtt"}


def burnt_track(info: MediaInfo, options: Options) -> SubtitleStream | None:
    """The track to draw into the picture; None if none is asked for.

    Raises:
        JobFailure: there are no subtitles to draw.
    """
    if options.subtitles != "burn":
        return None
    if not info.subtitles:
        raise JobFailure(
            ErrorCode.INVALID_OPTIONS, "This file has no subtitles to draw into the picture. Leave out that option."
        )
    return next((track for track in info.subtitles if track.default), info.subtitles[0])


def plan_subtitle(request: Request, stream: SubtitleStream, burnt: SubtitleStream | None) -> Decision:
    """What becomes of one subtitle track; `burnt` is the one that is drawn into the picture."""
    fmt = request.fmt
    reason, lost = _against(request, stream, burnt)
    if reason is not None:
        return _drop(stream, reason, lost=lost)
    if containers.stores_subtitle(fmt, stream.codec):
        summary = _summary(stream, "copy", stream.codec, "already right for this format")
        return Decision(stream.index, summary, ("-c", "copy"))
    target = fmt.subtitles[0]
    summary = _summary(stream, "encode", target, f"{fmt.name} holds text as {target}")
    return Decision(stream.index, summary, ("-c", _ENCODERS[target]))


def drawing(request: Request, track: SubtitleStream) -> tuple[str, ...]:
    """Filters that draw the text of `track`, which they read from the input by themselves, from its start."""
    number = request.info.subtitles.index(track)
    draw = f"subtitles=filename={_escaped(request.source)}:stream_index={number}"
    if not request.start_s:
        return (draw,)
    shift = seconds(request.start_s)
    return (f"setpts=PTS+{shift}/TB", draw, f"setpts=PTS-{shift}/TB")


def lasting(request: Request, track: SubtitleStream) -> tuple[str, ...]:
    """Arguments for an output whose picture went through `drawing`.

    ffmpeg 7 forgets how long frames last when their times are shifted, and an mp4 would hide the last of them
    as no longer part of the film. It is shown as long as the one before it.
    """
    if not request.start_s or not track.text or request.fmt.muxer not in _HIDING:
        return ()
    return ("-bsf", "setts=pts=PTS:dts=DTS:duration=max(DURATION\\,if(N\\,DTS-PREV_INDTS\\,1))")


def _escaped(name: str) -> str:
    """A file name inside a filter's option: escaped once for the option and once for the graph."""
    option = "".join("\\" + char if char in "\\':" else char for char in name)
    return "".join("\\" + char if char in "\\'[],;" else char for char in option)


def _against(request: Request, stream: SubtitleStream, burnt: SubtitleStream | None) -> tuple[str | None, bool]:
    """Why the track is dropped, and whether that is a loss nobody asked for."""
    fmt = request.fmt
    if burnt is not None:
        this = burnt.index == stream.index
        return ("drawn into the picture" if this else "another track is drawn into the picture"), False
    if request.options.subtitles == "drop":
        return "dropping was asked for", False
    if fmt.kind == "audio" or request.options.video == "none":
        return "only the sound is kept", False
    if not fmt.subtitles:
        return f"{fmt.name} holds no subtitles", True
    if not stream.text and not containers.stores_subtitle(fmt, stream.codec):
        return f"pictures of text cannot be kept in {fmt.name}", True
    return None, False


def _summary(stream: SubtitleStream, action: str, target: str | None, reason: str) -> StreamPlan:
    return StreamPlan.model_validate(
        {
            "stream": stream.index,
            "type": "subtitle",
            "codec": stream.codec,
            "action": action,
            "target": target,
            "reason": reason,
        }
    )


def _drop(stream: SubtitleStream, reason: str, *, lost: bool = False) -> Decision:
    warnings: tuple[Warning_, ...] = ()
    if lost:
        name = f" ({stream.language})" if stream.language and stream.language != "und" else ""
        message = f"Subtitle track {stream.index}{name} was dropped: {reason}."
        warnings = (Warning_(code="subtitles_dropped", message=message),)
    return Decision(stream.index, _summary(stream, "drop", None, reason), warnings=warnings)
