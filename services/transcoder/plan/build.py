"""The plan of a whole job: which streams, what with each, in how many runs, and what to expect of it."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from services.common.errors import ErrorCode, JobFailure
from services.common.formats import FORMATS
from services.common.jobs import StreamPlan
from services.common.options import Options, check
from services.transcoder.diagnose import Expected
from services.transcoder.media import AudioStream, MediaInfo, Stream, SubtitleStream, VideoStream
from services.transcoder.plan import passes
from services.transcoder.plan.audio import choose_tracks, default_track, plan_audio
from services.transcoder.plan.encoders import TWO_PASS_CODECS, Rate
from services.transcoder.plan.estimate import estimate
from services.transcoder.plan.model import (
    OUTPUT,
    THUMBNAIL,
    Capabilities,
    Decision,
    LoudnessByIndex,
    Request,
    TranscodePlan,
)
from services.transcoder.plan.rate import target_rate
from services.transcoder.plan.subtitles import burnt_track, plan_subtitle
from services.transcoder.plan.summary import losses, summarize
from services.transcoder.plan.video import AVI_RATE, VideoPlan, plan_video

_SLACK_FRAMES: Final = 2
_COVERED: Final = frozenset({"mp3", "m4a", "flac"})
_COVERS: Final = frozenset({"mjpeg", "png"})
_FONTS: Final = ("font/", "application/x-truetype-font", "application/vnd.ms-opentype", "application/x-font")


def make_plan(
    info: MediaInfo,
    output_format: str,
    options: Options,
    *,
    able: Capabilities,
    source: str = "input",
    loudness: LoudnessByIndex | None = None,
    thumbnail: bool = True,
) -> TranscodePlan:
    """How `info` becomes `output_format`.

    Args:
        info: what the input holds.
        output_format: a name of `FORMATS`.
        options: the wishes.
        able: what ffmpeg can do.
        source: the input's name, relative to the working directory or absolute.
        loudness: what the measuring run of a first plan found, by input index; a plan that needs it and does
            not have it consists of that run.
        thumbnail: False to make no small picture.

    Raises:
        JobFailure: it can't be.
    """
    problems = check(output_format, options)
    if problems:
        field, message = problems[0]
        code = ErrorCode.UNSUPPORTED if field == "output_format" else ErrorCode.INVALID_OPTIONS
        raise JobFailure(code, message)
    request = Request(info, FORMATS[output_format], options, able, source)
    picture = _choose_picture(request)
    tracks = choose_tracks(request)
    if picture is None and not tracks:
        raise JobFailure(ErrorCode.NO_AUDIO)
    duration_s = _duration(request, [stream for stream in (picture, *tracks) if stream])
    if options.sound.normalize and tracks and loudness is None:
        return passes.measuring(request, tracks, duration_s)
    rate = target_rate(request, tracks, duration_s) if picture else None
    burnt = burnt_track(info, options) if picture else None
    analysis, video = _plan_picture(request, picture, rate, burnt)
    audio = [plan_audio(request, track, (loudness or {}).get(track.index)) for track in tracks]
    subtitles = [plan_subtitle(request, track, burnt) for track in info.subtitles]
    kept = [
        *([video.decision] if video else []),
        *audio,
        *(one for one in subtitles if one.kept),
        *_extras(request, video),
    ]
    decided = [*kept, *(one for one in subtitles if not one.kept)]
    small = thumbnail and video is not None and request.fmt.kind == "video"
    return TranscodePlan(
        summary=summarize(request, decided, duration_s),
        warnings=losses(request, decided, picture),
        passes=passes.converting(
            request,
            video,
            kept,
            analysis=analysis,
            default=default_track(tracks).index if tracks else None,
            duration_s=duration_s,
            thumbnail=small,
        ),
        output=f"{OUTPUT}.{request.fmt.extension}",
        thumbnail=THUMBNAIL if small else None,
        expected=Expected(
            duration_s,
            promised=_promised(request, picture, tracks),
            guessed=not info.declares_duration,
            frames=_frames(request, picture, video),
            slack_s=_SLACK_FRAMES / float(video.picture.rate) if video and video.picture.rate else 0.0,
        ),
        estimate=estimate(request, video, audio, rate=rate, duration_s=duration_s),
        hardware=bool(video and video.encoder and video.encoder.hardware),
        aside=passes.aside(request, video, duration_s) if small and video else None,
    )


def _plan_picture(
    request: Request, picture: VideoStream | None, rate: Rate | None, burnt: SubtitleStream | None
) -> tuple[VideoPlan | None, VideoPlan | None]:
    """The picture as the first of two passes treats it, if there are two, and as the last one does."""
    if picture is None:
        return None, None
    once = plan_video(request, picture, rate=rate, burnt=burnt)
    if rate is None or once.decision.summary.target not in TWO_PASS_CODECS:
        return None, once
    first, second = (plan_video(request, picture, rate=replace(rate, step=step), burnt=burnt) for step in (1, 2))
    return first, second


def _choose_picture(request: Request) -> VideoStream | None:
    """The picture to convert: of several the default one, then the largest."""
    fmt, info = request.fmt, request.info
    if fmt.kind == "audio" or request.options.video == "none":
        return None
    if not info.pictures:
        raise JobFailure(ErrorCode.NO_VIDEO)
    chosen = max(info.pictures, key=lambda stream: (stream.default, stream.width * stream.height, -stream.index))
    if chosen.codec is None:
        raise JobFailure(ErrorCode.UNSUPPORTED, detail=f"stream {chosen.index} has an unknown codec")
    return chosen


def _duration(request: Request, streams: Sequence[Stream]) -> float | None:
    """Seconds of the output.

    Raises:
        JobFailure: the piece to convert lies behind the end.
    """
    ends = [_end(request.info, stream) for stream in streams]
    known = [end for end in ends if end is not None]
    whole = max(known) if known and len(known) == len(ends) else request.info.duration_s
    trim = request.options.trim
    if trim is None:
        return whole
    if whole is not None and trim.start_s >= whole:
        raise JobFailure(
            ErrorCode.INVALID_OPTIONS,
            f"The file is {whole:.1f} s long; choose a start before that instead of {trim.start_s:g} s.",
        )
    if trim.end_s is None:
        return None if whole is None else whole - trim.start_s
    return (trim.end_s if whole is None else min(trim.end_s, whole)) - trim.start_s


def _end(info: MediaInfo, stream: Stream) -> float | None:
    """When a stream ends, from the start of the file."""
    if stream.duration_s is None:
        return None
    end = max(0.0, (stream.start_s or info.start_s) - info.start_s) + stream.duration_s
    # Some writers count a late beginning into the length of a stream.
    return min(end, info.duration_s) if info.duration_s is not None and info.declares_duration else end


def _promised(request: Request, picture: VideoStream | None, tracks: Sequence[AudioStream]) -> bool:
    """True if the length expected is what the file says of these very streams."""
    info, trim = request.info, request.options.trim
    if not info.declares_duration or (trim is not None and trim.end_s is None and trim.start_s > 0):
        return False
    used = [stream for stream in (picture, *tracks) if stream]
    if all(stream.duration_s is not None for stream in used):
        return True
    others = len(info.pictures) + len(info.audio) - len(used) + len(info.subtitles) + len(info.others)
    return others == 0


def _frames(request: Request, picture: VideoStream | None, video: VideoPlan | None) -> int | None:
    if picture is None or video is None or picture.discards or picture.interlaced:
        return None
    options = request.options
    if options.trim is not None or options.fps is not None or request.fmt.kind == "image":
        return None
    if request.fmt.muxer == "avi" and (picture.frame_rate or 0) > AVI_RATE:
        return None
    return picture.frames


def _extras(request: Request, video: VideoPlan | None) -> list[Decision]:
    """Cover art of sound, and the fonts that subtitles in mkv are drawn with."""
    found: list[Decision] = []
    covers = [cover for cover in request.info.covers if cover.codec in _COVERS]
    if video is None and request.fmt.name in _COVERED and covers and request.options.metadata == "keep":
        cover = covers[0]
        found.append(_copied(cover, "video", "cover art", ("-disposition", "attached_pic")))
    if video is not None and request.fmt.name == "mkv" and request.options.subtitles == "keep":
        fonts = [other for other in request.info.others if (other.mimetype or "").startswith(_FONTS)]
        found += [_copied(font, "attachment", "a font for subtitles") for font in fonts]
    return found


def _copied(stream: Stream, kind: str, reason: str, more: tuple[str, ...] = ()) -> Decision:
    codec = stream.codec
    about = {"stream": stream.index, "type": kind, "codec": codec, "action": "copy", "target": codec}
    return Decision(stream.index, StreamPlan.model_validate({**about, "reason": reason}), ("-c", "copy", *more))
