"""The runs of ffmpeg that a plan takes."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from services.common.jobs import Plan
from services.transcoder.diagnose import Expected
from services.transcoder.plan import command
from services.transcoder.plan.audio import measure_filter
from services.transcoder.plan.choice import Choice
from services.transcoder.plan.geometry import Size, target_size
from services.transcoder.plan.model import OUTPUT, THUMBNAIL, Decision, Estimate, Pass, Request, TranscodePlan
from services.transcoder.plan.video import VideoPlan

__all__ = ["THUMBNAIL", "converting", "measuring"]

_SMALL: Final = 320
_EARLY: Final = 0.1  # the small picture shows the film so far in: the first frames are often black
_LATEST_S: Final = 10.0
_SHORTEST_S: Final = 2.0  # of less, the first frame will do
_SHORT_COPY_S: Final = 60.0
_ANALYSIS_WEIGHT: Final = 0.6
_MEASURE_WEIGHT: Final = 0.3


def measuring(request: Request, choice: Choice) -> TranscodePlan:
    """A plan that only measures the loudness of the tracks."""
    tracks, duration_s = choice.tracks, choice.duration_s
    args: list[str] = []
    for number, track in enumerate(tracks):
        args += ["-map", f"0:{track.index}", f"-filter:a:{number}", measure_filter(track)]
    argv = (*command.beginning(level="info"), *command.reading(request), *args, *command.nowhere())
    return TranscodePlan(
        summary=Plan(format=request.fmt.name, duration_s=duration_s),
        warnings=(),
        passes=(Pass("measure", argv, duration_s, _MEASURE_WEIGHT),),
        output=f"{OUTPUT}.{request.fmt.extension}",
        thumbnail=None,
        expected=Expected(duration_s),
        estimate=Estimate(None, None),
        measures=tuple(track.index for track in tracks),
    )


def converting(
    request: Request,
    choice: Choice,
    video: VideoPlan | None,
    kept: Sequence[Decision],
    *,
    analysis: VideoPlan | None = None,
    thumbnail: bool = False,
) -> tuple[Pass, ...]:
    """The runs that make the output.

    Args:
        request: what the plan is made from.
        choice: the streams to convert.
        video: what becomes of the picture, if there is one.
        kept: the decisions on all streams to keep, in the order of the output's.
        analysis: the picture as the first of two passes encodes it.
        thumbnail: True to make a small picture on the way.
    """
    duration_s = choice.duration_s
    if video is not None and (special := _SPECIAL.get(str(video.decision.summary.target))):
        return special(request, video, duration_s)
    init = video.encoder.init if video is not None and video.encoder is not None else ()
    read = command.reading(request, video.decoder if video is not None else ())
    small = _thumbnail(request, video, duration_s) if thumbnail and video is not None else _NONE
    argv = (
        *(*command.beginning(init), *read, *small.reading, *command.streams(kept)),
        *(*command.default_marks(kept, choice.default), *command.metadata(request, kept)),
        *(*command.writing(request.fmt, f"{OUTPUT}.{request.fmt.extension}"), *small.writing),
    )
    last = Pass("convert", argv, duration_s)
    if analysis is None:
        return (last,)
    measure = command.stream(analysis.decision, "v:0")
    first = (*command.beginning(init), *read, *measure, "-an", "-sn", *command.nowhere())
    return (Pass("analyse", first, duration_s, _ANALYSIS_WEIGHT), last)


def _gif(request: Request, video: VideoPlan, duration_s: float | None) -> tuple[Pass, ...]:
    """Two runs, for one would hold the whole film in memory until it knows its colours."""
    begin = (*command.beginning(), *command.reading(request, video.decoder))
    output = command.writing(request.fmt, f"{OUTPUT}.{request.fmt.extension}")
    return (
        Pass("palette", (*begin, *command.finding_colours(video.decision)), duration_s, _ANALYSIS_WEIGHT),
        Pass(
            "convert",
            (*begin, *command.reading_palette(), *command.using_colours(video.decision), *output),
            duration_s,
        ),
    )


def _webp(request: Request, video: VideoPlan, duration_s: float | None) -> tuple[Pass, ...]:
    begin = (*command.beginning(), *command.reading(request, video.decoder))
    output = command.writing(request.fmt, f"{OUTPUT}.{request.fmt.extension}")
    stream, counting = command.counted(video.decision)
    return (Pass("convert", (*begin, *stream, *output, *counting), duration_s),)


_SPECIAL: Final = {"gif": _gif, "webp": _webp}


@dataclass(frozen=True, slots=True)
class _Thumbnail:
    """Arguments for a further input and a further output."""

    reading: tuple[str, ...] = ()
    writing: tuple[str, ...] = ()


_NONE: Final = _Thumbnail()


def _thumbnail(request: Request, video: VideoPlan, duration_s: float | None) -> _Thumbnail:
    """A small picture made in the same run: of a frame that is decoded anyway, or, in a copy, of a key frame.

    ffmpeg reads two inputs through queues, which costs more than a run aside when there is much to copy.
    """
    index = video.decision.index
    if not video.decision.copied:
        pick = f"select=gte(t\\,{command.seconds(_thumbnail_time(request, duration_s))})"
        return _Thumbnail((), command.thumbnail(f"0:{index}", (pick, *video.colours, *_shrinking(video))))
    if duration_s is None or duration_s > _SHORT_COPY_S:
        return _NONE
    return _Thumbnail(
        command.key_frames(request, request.start_s + _thumbnail_time(request, duration_s)),
        command.thumbnail(f"1:{index}", _shrinking(video)),
    )


def aside(request: Request, video: VideoPlan, duration_s: float | None) -> Pass | None:
    """The run that makes the small picture of a long copy; None where it is made on the way."""
    if _thumbnail(request, video, duration_s) is not _NONE:
        return None
    at_s = request.start_s + _thumbnail_time(request, duration_s)
    picture = command.thumbnail(f"0:{video.decision.index}", _shrinking(video))
    return Pass("thumbnail", (*command.beginning(), *command.key_frames(request, at_s), *picture), None, 0.0)


def _thumbnail_time(request: Request, duration_s: float | None) -> float:
    if duration_s is None or duration_s < _SHORTEST_S or not request.info.declares_duration:
        return 0.0
    return min(duration_s * _EARLY, _LATEST_S)


def _shrinking(video: VideoPlan) -> tuple[str, ...]:
    picture = video.picture
    size = target_size(
        Size(picture.width, picture.height, picture.sar), max_width=_SMALL, max_height=_SMALL, square=True
    )
    # A jpeg is always taken to be of BT.601 and full range.
    return f"scale={size.width}:{size.height}:out_color_matrix=bt601:out_range=pc", "setsar=1", "format=yuv420p"
