"""The plan of a whole job: which streams, what with each, in how many runs, and what to expect of it."""

from dataclasses import replace
from typing import Final

from services.common.errors import ErrorCode, JobFailure
from services.common.formats import FORMATS
from services.common.jobs import StreamPlan
from services.common.options import Options, check
from services.transcoder.media import MediaInfo, Stream, SubtitleStream, VideoStream
from services.transcoder.plan import passes
from services.transcoder.plan.audio import plan_audio
from services.transcoder.plan.choice import Choice, choose
from services.transcoder.plan.encoders import TWO_PASS_CODECS, Rate
from services.transcoder.plan.estimate import estimate
from services.transcoder.plan.expectation import expect
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
from services.transcoder.plan.video import VideoPlan, plan_video

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
    for field, message in check(output_format, options):
        code = ErrorCode.UNSUPPORTED if field == "output_format" else ErrorCode.INVALID_OPTIONS
        raise JobFailure(code, message)
    request = Request(info, FORMATS[output_format], options, able, source)
    choice = choose(request)
    if options.sound.normalize and choice.tracks and loudness is None:
        return passes.measuring(request, choice)
    return _decide(request, choice, loudness or {}, thumbnail=thumbnail and request.fmt.kind == "video")


def _decide(request: Request, choice: Choice, loudness: LoudnessByIndex, *, thumbnail: bool) -> TranscodePlan:
    rate = target_rate(request, choice)
    burnt = burnt_track(request.info, request.options) if choice.picture else None
    analysis, video = _plan_picture(request, choice.picture, rate, burnt)
    audio = [plan_audio(request, track, loudness.get(track.index)) for track in choice.tracks]
    subtitles = [plan_subtitle(request, track, burnt) for track in request.info.subtitles]
    pictures = [video.decision] if video else []
    kept = [*pictures, *audio, *(one for one in subtitles if one.kept), *_extras(request, video)]
    decided = [*kept, *(one for one in subtitles if not one.kept)]
    small = thumbnail and video is not None
    return TranscodePlan(
        summary=summarize(request, decided, choice.duration_s),
        warnings=losses(request, decided, choice.picture),
        passes=passes.converting(request, choice, video, kept, analysis=analysis, thumbnail=small),
        output=f"{OUTPUT}.{request.fmt.extension}",
        thumbnail=THUMBNAIL if small else None,
        expected=expect(request, choice, video),
        estimate=estimate(request, video, audio, rate=rate, duration_s=choice.duration_s),
        hardware=bool(video and video.encoder and video.encoder.hardware),
        aside=passes.aside(request, video, choice.duration_s) if small and video else None,
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
