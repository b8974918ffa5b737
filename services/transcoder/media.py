"""What a media file holds, as frozen data."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Final, Literal

Hdr = Literal["pq", "hlg"]
Parity = Literal["tff", "bff"]

SQUARE: Final = Fraction(1)
_ALPHA: Final = re.compile(r"^(yuva|rgba|bgra|argb|abgr|gbrap|ya\d|pal8)")
_RGB: Final = re.compile(r"^(0?(rgb|bgr)|argb|abgr|gbr|pal8|x2rgb|x2bgr|monob|monow)")
_DEPTH: Final = re.compile(r"(?:p0?|gray|gbra?p|x2rgb|x2bgr|ya)(9|10|12|14|16)(?:le|be)?$|^(?:p0|p2|p4|y2)(1\d)")
_DEEP_PACKED: Final = re.compile(r"^(rgb|bgr)48|^(rgba|bgra)64|f32|^xyz12")
_HDR_TRANSFERS: Final[dict[str, Hdr]] = {"smpte2084": "pq", "arib-std-b67": "hlg"}
# Containers that say how long they are; for others ffprobe guesses from the bitrate or the last time stamp.
_DECLARING: Final = frozenset({"mov", "matroska", "avi", "asf", "flac", "flv", "wav", "mxf", "nut", "aiff"})


@dataclass(frozen=True, slots=True)
class Stream:
    """What streams of every type have.  `index` is ffmpeg's, over all streams of the file."""

    index: int
    codec: str | None = None
    default: bool = False
    language: str | None = None
    title: str | None = None
    duration_s: float | None = None
    start_s: float | None = None
    bit_rate: int | None = None


@dataclass(frozen=True, slots=True)
class VideoStream(Stream):
    """A picture.

    Attributes:
        width, height: coded size in pixels, before rotation and with pixels as they are stored.
        sar: width of a pixel over its height.
        rotation: degrees clockwise to turn the picture upright: 0, 90, 180 or 270.
        mirrored: True if the display matrix does more than turn.
        interlaced: the order of fields, None for progressive pictures.
        flagged: True if each frame says itself whether it is interlaced.
        frame_rate: frames a second, the highest that tells all frames apart; None if unknown.
        frames: how many, where the container says so.
        hdr: the transfer curve of high dynamic range.
        edited: True if an edit list hides some of the frames that are stored.
        cover: True for a still picture that belongs to the file, such as album art.
    """

    profile: str | None = None
    level: int | None = None
    width: int = 0
    height: int = 0
    sar: Fraction = SQUARE
    pix_fmt: str | None = None
    rotation: int = 0
    mirrored: bool = False
    interlaced: Parity | None = None
    flagged: bool = False
    frame_rate: Fraction | None = None
    average_rate: Fraction | None = None
    frames: int | None = None
    color_range: str | None = None
    color_space: str | None = None
    color_transfer: str | None = None
    color_primaries: str | None = None
    dolby_profile: int | None = None
    alpha_tagged: bool = False
    edited: bool = False
    cover: bool = False

    @property
    def hdr(self) -> Hdr | None:
        return _HDR_TRANSFERS.get(self.color_transfer or "")

    @property
    def upright(self) -> bool:
        """True if the picture is shown as it is stored."""
        return self.rotation == 0 and not self.mirrored

    @property
    def bit_depth(self) -> int:
        return bit_depth(self.pix_fmt or "")

    @property
    def alpha(self) -> bool:
        """True if the picture has a transparent layer."""
        return self.alpha_tagged or bool(_ALPHA.match(self.pix_fmt or ""))

    @property
    def rgb(self) -> bool:
        return bool(_RGB.match(self.pix_fmt or ""))

    @property
    def full_range(self) -> bool:
        return self.color_range == "pc" or (self.pix_fmt or "").startswith("yuvj")

    @property
    def plain(self) -> bool:
        """True for 8-bit 4:2:0, what every player takes."""
        return self.pix_fmt in ("yuv420p", "yuvj420p") and not self.alpha_tagged


@dataclass(frozen=True, slots=True)
class AudioStream(Stream):
    """A sound track.  `layout` is ffmpeg's name of the speakers, None where the file does not say."""

    profile: str | None = None
    channels: int = 0
    layout: str | None = None
    sample_rate: int = 0
    bits: int = 0


@dataclass(frozen=True, slots=True)
class SubtitleStream(Stream):
    """Subtitles; `text` is False for pictures of text."""

    text: bool = False
    forced: bool = False


@dataclass(frozen=True, slots=True)
class OtherStream(Stream):
    """A stream that is neither picture, sound nor subtitles."""

    kind: Literal["data", "attachment"] = "data"
    mimetype: str | None = None


@dataclass(frozen=True, slots=True)
class MediaInfo:
    """A media file.  Times in seconds; `duration_s` is None where only reading it all would tell."""

    formats: tuple[str, ...] = ()
    duration_s: float | None = None
    start_s: float = 0.0
    size: int = 0
    bit_rate: int | None = None
    chapters: int = 0
    tags: Mapping[str, str] = field(default_factory=dict)
    video: tuple[VideoStream, ...] = ()
    audio: tuple[AudioStream, ...] = ()
    subtitles: tuple[SubtitleStream, ...] = ()
    others: tuple[OtherStream, ...] = ()

    @property
    def pictures(self) -> tuple[VideoStream, ...]:
        """The video streams that move, so without cover art."""
        return tuple(stream for stream in self.video if not stream.cover)

    @property
    def covers(self) -> tuple[VideoStream, ...]:
        return tuple(stream for stream in self.video if stream.cover)

    @property
    def declares_duration(self) -> bool:
        """True if `duration_s` is what the file promises rather than what was found in it."""
        return self.duration_s is not None and not _DECLARING.isdisjoint(self.formats)


def bit_depth(pix_fmt: str) -> int:
    """Bits a sample of ffmpeg's pixel format `pix_fmt`; 8 for those that do not say."""
    if _DEEP_PACKED.search(pix_fmt):
        return 16
    found = _DEPTH.search(pix_fmt)
    return int(found[1] or found[2]) if found else 8
