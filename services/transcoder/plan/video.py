"""What becomes of the picture: copied when it fits, otherwise encoded, and how."""

from collections.abc import Iterator
from dataclasses import dataclass
from fractions import Fraction
from typing import Final, Literal

from services.common.errors import ErrorCode, JobFailure
from services.common.formats import Format
from services.common.jobs import StreamPlan
from services.common.options import Options
from services.transcoder.media import SQUARE, SubtitleStream, VideoStream
from services.transcoder.plan import colour, containers
from services.transcoder.plan.encoders import Encoder, Rate, Wish, video_encoder
from services.transcoder.plan.geometry import Size, shown_size, target_size
from services.transcoder.plan.model import Decision, Picture, Request
from services.transcoder.plan.subtitles import drawing, lasting

_WEB_PROFILES: Final = frozenset({"Constrained Baseline", "Baseline", "Main", "High"})
_WEB_LEVEL: Final = 52
_HIGHEST_RATE: Final = 240  # more is a guess of ffprobe's from coarse time stamps
_IMAGE_RATES: Final = {"gif": Fraction(15), "webp": Fraction(25)}
_USUAL_RATE: Final = Fraction(25)
AVI_RATE: Final = Fraction(60)
_USUAL_DEPTH: Final = 8
_MOVING_IMAGE_HEIGHT: Final = 480  # unless asked otherwise: nobody wants the gigabytes
_GAPPY: Final = 4  # fewer real frames than one in so many: filling up would invent most of them
_HVC1: Final = frozenset({"mp4", "mov"})  # Apple's players want hevc by this name


@dataclass(frozen=True, slots=True)
class VideoPlan:
    """The decision, and what others need of it."""

    decision: Decision
    picture: Picture
    encoder: Encoder | None = None
    decoder: tuple[str, ...] = ()
    colours: tuple[str, ...] = ()  # the filters that bring its colours to an ordinary screen


def plan_video(
    request: Request, stream: VideoStream, *, rate: Rate | None = None, burnt: SubtitleStream | None = None
) -> VideoPlan:
    """What becomes of `stream`.

    Args:
        request: what the plan is made from.
        stream: the picture.
        rate: a bitrate to hit instead of a quality.
        burnt: the subtitles to draw into it.

    Raises:
        JobFailure: what was asked cannot be done with this picture.
    """
    if stream.width <= 0 or stream.height <= 0:
        raise JobFailure(ErrorCode.CORRUPT_INPUT, detail=f"stream {stream.index} has no size")
    if request.options.video == "copy":
        return _asked_copy(stream, request.fmt)
    reason = next(_against_copy(request, stream), None)
    if reason is None:
        return _copy(stream, request.fmt, "already right for this format")
    return _encode(request, stream, rate, burnt, reason)


def _asked_copy(stream: VideoStream, fmt: Format) -> VideoPlan:
    if not containers.stores_video(fmt, stream.codec):
        raise JobFailure(
            ErrorCode.INVALID_OPTIONS,
            f"{fmt.name} cannot hold {stream.codec or 'this codec'} as it is. "
            "Leave out the video option or choose mkv.",
        )
    return _copy(stream, fmt, "copy was asked for")


def _copy(stream: VideoStream, fmt: Format, reason: str) -> VideoPlan:
    size = shown_size(stream)
    args = ("-c", "copy", *_tag(str(stream.codec), fmt))
    picture = Picture(size.width, size.height, size.sar, stream.average_rate)
    return VideoPlan(Decision(stream.index, _summary(stream, "copy", stream.codec, reason), args), picture)


def _summary(stream: VideoStream, action: Literal["copy", "encode"], target: str | None, *reasons: str) -> StreamPlan:
    return StreamPlan(
        stream=stream.index,
        type="video",
        codec=stream.codec,
        action=action,
        target=target,
        reason="; ".join(reasons),
    )


def _against_copy(request: Request, stream: VideoStream) -> Iterator[str]:
    """Reasons why the picture has to be encoded, the most telling first."""
    info, fmt, options = request.info, request.fmt, request.options
    codec = stream.codec or "an unknown codec"
    if options.video is not None and options.video != stream.codec:
        yield f"{options.video} was asked for"
    if stream.codec not in fmt.copy_video | {options.video}:
        yield f"players of {fmt.name} expect {fmt.video[0]}, not {codec}"
    yield from _against_picture(stream, options)
    if options.quality != "balanced" or options.two_pass is not None:
        yield "a quality or size was asked for"
    if options.fps is not None and stream.average_rate != Fraction(options.fps).limit_denominator(1001):
        yield f"{options.fps:g} frames a second were asked for"
    shown = shown_size(stream)
    if target_size(shown, max_width=options.max_width, max_height=options.max_height, square=False) != shown:
        yield "the size changes"
    if options.trim is not None:
        yield "a cut that is exact needs new frames"
    if options.subtitles == "burn":
        yield "subtitles are drawn into it"
    if not containers.trusted(info.formats):
        yield f"time stamps of {info.formats[0]} have to be put right"
    if stream.edited:
        yield "an edit list hides frames of it"


def _against_picture(stream: VideoStream, options: Options) -> Iterator[str]:
    """What is wrong with the picture itself."""
    if not stream.upright:
        yield "it has to be turned upright"
    if stream.interlaced:
        yield "it is interlaced"
    if stream.hdr:
        yield "it has high dynamic range"
    if stream.alpha_tagged and stream.codec in ("vp8", "vp9") and options.video in (None, stream.codec):
        return  # its container shows the transparent layer; nothing to mend
    if options.bit_depth != stream.bit_depth or (not stream.plain and stream.bit_depth == _USUAL_DEPTH):
        yield f"{stream.pix_fmt or 'its pixel format'} does not play everywhere"
    if stream.codec == "h264" and stream.profile not in _WEB_PROFILES:
        yield f"profile {stream.profile} does not play everywhere"
    if stream.codec == "h264" and (stream.level or 0) > _WEB_LEVEL:
        yield f"level {stream.level} does not play everywhere"


def _encode(
    request: Request, stream: VideoStream, rate: Rate | None, burnt: SubtitleStream | None, reason: str
) -> VideoPlan:
    fmt, options, able = request.fmt, request.options, request.able
    codec = _codec(fmt, options)
    image = fmt.kind == "image"
    keep_alpha = stream.alpha and (image or codec == "vp9") and options.bit_depth == _USUAL_DEPTH
    colours = colour.convert(stream, to_rgb=image, keep_alpha=keep_alpha, filters=able.filters)
    shown, size = shown_size(stream), _size(stream, request)
    rates = _frame_rate(stream, fmt, options)
    tag, alpha = _tag(codec, fmt), keep_alpha and not image
    encoder = video_encoder(Wish(codec, options.quality, size, options.bit_depth, alpha, rate, tag), able)
    filters = (
        *_deinterlace(stream),
        *rates.filters,
        *colours.before,
        *_scale(shown, size, colours.scale),
        *colours.after,
        *(drawing(request, burnt) if burnt is not None and burnt.text else ()),
        *((f"format={encoder.pix_fmt}",) if encoder.pix_fmt else ()),
        *encoder.upload,
    )
    reasons = (reason, *_size_note(shown, size), *rates.notes, *colours.notes)
    decision = Decision(
        stream.index,
        _summary(stream, "encode", codec, *reasons),
        # Frames keep their times: a steady rate would fill an hour's pause with an hour of frames.
        args=(
            *("-c", encoder.name, *encoder.args, *colours.tags, "-fps_mode", "vfr"),
            *_time_base(fmt, rates.rate),
            *(lasting(request, burnt) if burnt is not None else ()),
        ),
        filters=filters,
        overlay=burnt.index if burnt is not None and not burnt.text else None,
        warnings=colours.warnings,
    )
    decoder = ("-c:v", "libvpx-vp9" if stream.codec == "vp9" else "libvpx") if _vpx_alpha(stream) else ()
    picture = Picture(size.width, size.height, size.sar, rates.rate)
    return VideoPlan(decision, picture, encoder, decoder, (*colours.before, *colours.after))


def _size(stream: VideoStream, request: Request) -> Size:
    options, image = request.options, request.fmt.kind == "image"
    bounded = options.max_height or options.max_width
    return target_size(
        shown_size(stream),
        max_width=options.max_width,
        max_height=options.max_height or (_MOVING_IMAGE_HEIGHT if image and not bounded else None),
        square=image,
        even=not image,
    )


def _time_base(fmt: Format, rate: Fraction | None) -> tuple[str, ...]:
    """For avi, whose pauses are counted in frames, time stamps no finer than its frames."""
    if fmt.muxer != "avi":
        return ()
    base = min(rate or _USUAL_RATE, AVI_RATE)
    return ("-enc_time_base", f"{base.denominator}/{base.numerator}")


def _codec(fmt: Format, options: Options) -> str:
    return options.video if options.video in fmt.video else fmt.video[0]


def _tag(codec: str, fmt: Format) -> tuple[str, ...]:
    return ("-tag", "hvc1") if codec == "hevc" and fmt.muxer in _HVC1 else ()


def _vpx_alpha(stream: VideoStream) -> bool:
    """True if only libvpx's own decoder gives the transparent layer."""
    return stream.alpha_tagged and stream.codec in ("vp8", "vp9")


def _deinterlace(stream: VideoStream) -> tuple[str, ...]:
    if stream.interlaced is None:
        return ()
    if stream.flagged:
        return ("bwdif=mode=send_frame:parity=auto:deint=interlaced",)
    # Only the container says so; the frames would be passed over.
    return (f"bwdif=mode=send_frame:parity={stream.interlaced}:deint=all",)


def _scale(shown: Size, size: Size, more: tuple[str, ...]) -> tuple[str, ...]:
    resized = (shown.width, shown.height) != (size.width, size.height)
    options = [f"{size.width}:{size.height}"] if resized else []
    filters = [":".join(["scale=" + "".join(options), *more]) if options else "scale=" + ":".join(more)]
    if not resized and not more:
        filters = []
    if resized and size.sar == SQUARE:
        filters.append("setsar=1")
    return tuple(filters)


def _size_note(shown: Size, size: Size) -> tuple[str, ...]:
    if (shown.width, shown.height) == (size.width, size.height):
        return ()
    return (f"{shown.width}x{shown.height} becomes {size.width}x{size.height}",)


@dataclass(frozen=True, slots=True)
class _Rates:
    """The rate of the output as far as known, the filters that make it, and what to say of it."""

    rate: Fraction | None
    filters: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def _frame_rate(stream: VideoStream, fmt: Format, options: Options) -> _Rates:
    rate = stream.frame_rate if stream.frame_rate and stream.frame_rate <= _HIGHEST_RATE else stream.average_rate
    limit = _IMAGE_RATES.get(fmt.name)
    if options.fps is None:
        if limit is not None and (rate is None or rate > limit):
            return _Rates(limit, (_at_most(limit),), (f"at most {limit} frames a second",))
        return _Rates(rate)
    wanted = Fraction(options.fps).limit_denominator(1001)
    if _gappy(stream, wanted):
        return _Rates(wanted, (_at_most(wanted),), ("long pauses in it are kept as they are",))
    return _Rates(wanted, (f"fps={wanted}",))


def _at_most(rate: Fraction) -> str:
    """Drops frames that come faster, and invents none."""
    gap = f"{float(1 / rate) * 0.999:.6f}"
    return f"select=isnan(prev_selected_t)+gte(t-prev_selected_t\\,{gap})"


def _gappy(stream: VideoStream, wanted: Fraction) -> bool:
    """True if a steady rate would mostly consist of repeated frames."""
    if not stream.frames or not stream.duration_s:
        return False
    return stream.duration_s * float(wanted) > _GAPPY * stream.frames * max(
        1.0, float(wanted / stream.frame_rate) if stream.frame_rate else 1.0
    )
