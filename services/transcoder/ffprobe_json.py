"""From ffprobe's JSON to `MediaInfo`.

Everything in the JSON was written by a stranger: numbers may be absent, absurd or not numbers at all, and
then become None.
"""

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from fractions import Fraction
from typing import Any, Final

from services.transcoder.media import (
    SQUARE,
    AudioStream,
    MediaInfo,
    OtherStream,
    Parity,
    SubtitleStream,
    VideoStream,
)

Json = Mapping[str, Any]

_SUBTITLES_AS_TEXT: Final = frozenset(
    {"subrip", "srt", "ass", "ssa", "webvtt", "mov_text", "text", "microdvd", "subviewer", "sami", "realtext"}
)
# ffprobe's field orders: the first letter is the field coded first, the second the one shown first.
_PARITIES: Final[dict[str, Parity]] = {"tt": "tff", "bt": "tff", "bb": "bff", "tb": "bff"}
_IDENTITY: Final = (65536, 0, 0, 0, 65536, 0, 0, 0, 1 << 30)
_DECODED: Final = ("pix_fmt", "color_range", "color_space", "color_transfer", "color_primaries")


def parse(probed: Json) -> MediaInfo:
    """The media file that ffprobe described by `format`, `streams`, `chapters`, `frames` and `packets`."""
    container = _mapping(probed.get("format"))
    frames = [_mapping(frame) for frame in _list(probed.get("frames"))]
    packets = [_mapping(packet) for packet in _list(probed.get("packets"))]
    for item in _list(probed.get("packets_and_frames")):
        (packets if _mapping(item).get("type") == "packet" else frames).append(_mapping(item))
    streams = [_mapping(stream) for stream in _list(probed.get("streams"))]
    by_type: dict[str, list[Json]] = {}
    for stream in streams:
        by_type.setdefault(str(stream.get("codec_type")), []).append(stream)
    known = ("video", "audio", "subtitle")
    formats = tuple(str(container.get("format_name", "")).split(","))
    video = [_video(stream, frames) for stream in by_type.get("video", [])]
    if "mov" in formats:
        video = [replace(stream, edited=_is_edited(stream, packets)) for stream in video]
    return MediaInfo(
        formats=formats,
        duration_s=_duration(container, streams),
        start_s=_number(container.get("start_time")) or 0.0,
        size=int(_number(container.get("size")) or 0),
        bit_rate=_positive_int(container.get("bit_rate")),
        chapters=len(_list(probed.get("chapters"))),
        tags={str(key).lower(): str(value) for key, value in _mapping(container.get("tags")).items()},
        video=tuple(video),
        audio=tuple(_audio(stream) for stream in by_type.get("audio", [])),
        subtitles=tuple(_subtitle(stream) for stream in by_type.get("subtitle", [])),
        others=tuple(_other(stream) for stream in streams if stream.get("codec_type") not in known),
    )


def _video(stream: Json, frames: Sequence[Json]) -> VideoStream:
    index = int(_number(stream.get("index")) or 0)
    own = [frame for frame in frames if frame.get("stream_index") == index]
    rotation, mirrored = _rotation(stream)
    interlaced, flagged = _interlacing(stream, own)
    tags = _tags(stream)
    disposition = _mapping(stream.get("disposition"))
    # The decoder knows what the container leaves out.
    decoded = {key: value for frame in own[:1] for key, value in frame.items() if key in _DECODED}
    shown: Json = {**stream, **decoded}
    return VideoStream(
        **_common(stream),
        profile=_text(stream.get("profile")),
        level=_positive_int(stream.get("level")),
        width=_positive_int(stream.get("width")) or 0,
        height=_positive_int(stream.get("height")) or 0,
        sar=_ratio(stream.get("sample_aspect_ratio"), ":") or SQUARE,
        pix_fmt=_text(shown.get("pix_fmt")),
        rotation=rotation,
        mirrored=mirrored,
        interlaced=interlaced,
        flagged=flagged,
        frame_rate=_ratio(stream.get("r_frame_rate"), "/"),
        average_rate=_ratio(stream.get("avg_frame_rate"), "/"),
        frames=_positive_int(stream.get("nb_frames")),
        color_range=_known(shown.get("color_range")),
        color_space=_known(shown.get("color_space")),
        color_transfer=_known(shown.get("color_transfer")),
        color_primaries=_known(shown.get("color_primaries")),
        dolby_profile=_dolby(stream),
        alpha_tagged=tags.get("alpha_mode") == "1",
        cover=bool(disposition.get("attached_pic") or disposition.get("timed_thumbnails")),
    )


def _is_edited(stream: VideoStream, packets: Sequence[Json]) -> bool:
    """True if packets are marked as not to be shown, or there are more than the time shown has room for."""
    if any(packet.get("stream_index") == stream.index and "D" in str(packet.get("flags")) for packet in packets):
        return True
    if stream.frames is None or stream.duration_s is None or stream.frame_rate is None:
        return False
    return stream.frames > stream.duration_s * float(stream.frame_rate) * 1.05 + 2


def _interlacing(stream: Json, frames: Sequence[Json]) -> tuple[Parity | None, bool]:
    """The order of fields, and whether the frames themselves say so."""
    flagged = [frame for frame in frames if frame.get("interlaced_frame") == 1]
    if flagged:
        return ("tff" if flagged[0].get("top_field_first") == 1 else "bff"), True
    return _PARITIES.get(str(stream.get("field_order"))), False


def _rotation(stream: Json) -> tuple[int, bool]:
    """Degrees clockwise, and whether the display matrix also mirrors or shears."""
    for side in _list(stream.get("side_data_list")):
        numbers = _matrix(_mapping(side).get("displaymatrix"))
        if not numbers:
            continue
        a, b, _, c, d = numbers[:5]
        mirrored = a * d - b * c < 0 or (numbers != _IDENTITY and (a, d) != (0, 0) and (b, c) != (0, 0))
        return round(math.degrees(math.atan2(b, a)) / 90) * 90 % 360, mirrored
    turned = _number(_tags(stream).get("rotate"))
    return (round(turned / 90) * 90 % 360 if turned else 0), False


def _matrix(text: object) -> tuple[int, ...]:
    rows = [line.split(":", 1)[-1].split() for line in str(text or "").splitlines() if ":" in line]
    try:
        numbers = tuple(int(number) for row in rows for number in row)
    except ValueError:
        return ()
    return numbers if len(numbers) == len(_IDENTITY) else ()


def _dolby(stream: Json) -> int | None:
    for side in _list(stream.get("side_data_list")):
        profile = _mapping(side).get("dv_profile")
        if isinstance(profile, int):
            return profile
    return None


def _audio(stream: Json) -> AudioStream:
    return AudioStream(
        **_common(stream),
        profile=_text(stream.get("profile")),
        channels=_positive_int(stream.get("channels")) or 0,
        layout=_known(stream.get("channel_layout")),
        sample_rate=_positive_int(stream.get("sample_rate")) or 0,
        bits=_positive_int(stream.get("bits_per_raw_sample")) or _positive_int(stream.get("bits_per_sample")) or 0,
    )


def _subtitle(stream: Json) -> SubtitleStream:
    return SubtitleStream(
        **_common(stream),
        text=str(stream.get("codec_name")) in _SUBTITLES_AS_TEXT,
        forced=bool(_mapping(stream.get("disposition")).get("forced")),
    )


def _other(stream: Json) -> OtherStream:
    attached = stream.get("codec_type") == "attachment"
    return OtherStream(
        **_common(stream),
        kind="attachment" if attached else "data",
        mimetype=_tags(stream).get("mimetype"),
    )


def _common(stream: Json) -> dict[str, Any]:
    tags = _tags(stream)
    language = tags.get("language", "")
    return {
        "index": int(_number(stream.get("index")) or 0),
        "codec": _text(stream.get("codec_name")) or _text(stream.get("codec_tag_string")),
        "default": bool(_mapping(stream.get("disposition")).get("default")),
        "language": language if re.fullmatch(r"[A-Za-z]{2,3}(-[A-Za-z0-9-]{1,20})?", language) else None,
        "title": tags.get("title"),
        "duration_s": _positive(stream.get("duration")) or _clock(tags.get("duration")),
        "start_s": _number(stream.get("start_time")),
        "bit_rate": _positive_int(stream.get("bit_rate")) or _positive_int(tags.get("bps")),
    }


def _duration(container: Json, streams: Sequence[Json]) -> float | None:
    whole = _positive(container.get("duration"))
    if whole:
        return whole
    parts = [_positive(stream.get("duration")) or _clock(_tags(stream).get("duration")) for stream in streams]
    return max((part for part in parts if part), default=None)


def _clock(text: str | None) -> float | None:
    """Seconds of Matroska's `HH:MM:SS.nnnnnnnnn`."""
    found = re.fullmatch(r"(\d{1,6}):(\d\d):(\d\d(?:\.\d+)?)", text or "")
    if not found:
        return None
    return int(found[1]) * 3600 + int(found[2]) * 60 + float(found[3]) or None


def _tags(stream: Json) -> dict[str, str]:
    return {str(key).lower(): str(value) for key, value in _mapping(stream.get("tags")).items()}


def _mapping(value: object) -> Json:
    return value if isinstance(value, Mapping) else {}


def _list(value: object) -> list[Any]:
    return value if isinstance(value, list) else []


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value and not value.startswith("[0]") else None


def _known(value: object) -> str | None:
    text = _text(value)
    return None if text in ("unknown", "unspecified", "reserved") else text


def _number(value: object) -> float | None:
    try:
        number = float(str(value))
    except ValueError:
        return None
    return number if math.isfinite(number) and abs(number) < 1e15 else None  # noqa: PLR2004 -- INT64_MIN and kin


def _positive(value: object) -> float | None:
    number = _number(value)
    return number if number is not None and number > 0 else None


def _positive_int(value: object) -> int | None:
    number = _positive(value)
    return int(number) or None if number is not None else None


def _ratio(value: object, separator: str) -> Fraction | None:
    numerator, found, denominator = str(value).partition(separator)
    if not found or not numerator.isdecimal() or not denominator.isdecimal():
        return None
    return Fraction(int(numerator), int(denominator)) or None if int(denominator) else None
