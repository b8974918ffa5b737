"""What can be asked for: the output formats and codecs, as data.

The gateway checks submissions against it and serves it as `GET /formats`; the transcoder plans from it.
"""

from dataclasses import dataclass
from typing import Any, Final, Literal

Kind = Literal["video", "audio", "image"]
VideoCodec = Literal["h264", "hevc", "av1", "vp9", "mpeg4", "gif", "webp"]
AudioCodec = Literal["aac", "mp3", "opus", "vorbis", "flac", "pcm"]
SubtitleCodec = Literal["mov_text", "subrip", "ass", "webvtt"]


@dataclass(frozen=True, slots=True)
class Format:
    """An output format.

    Attributes:
        name: what a job asks for as `output_format`.
        kind: `video`, `audio`, or `image` for moving pictures without sound.
        content_type: media type of the output.
        extension: of the output's name, without the dot.
        muxer: ffmpeg's name of the container.
        video: codecs that a job may ask for, the default first.
        audio: the same for sound.
        subtitles: codecs text subtitles are stored as, the one others are turned into first.
        copy_video: ffmpeg's names of codecs that players of this format are known to take: these are copied.
        copy_audio: the same for sound.
        tracks: True if it holds several audio tracks.
        max_width: the widest picture the format can describe, in pixels; None if no codec limit is known.
        note: one sentence for people.
    """

    name: str
    kind: Kind
    content_type: str
    extension: str
    muxer: str
    video: tuple[VideoCodec, ...] = ()
    audio: tuple[AudioCodec, ...] = ()
    subtitles: tuple[SubtitleCodec, ...] = ()
    copy_video: frozenset[str] = frozenset()
    copy_audio: frozenset[str] = frozenset()
    tracks: bool = False
    chapters: bool = False
    note: str = ""


_MODERN: Final = frozenset({"h264", "hevc", "av1", "vp9"})
_MKV_AUDIO: Final = frozenset({"aac", "mp3", "opus", "vorbis", "flac", "ac3", "eac3"})


def _iso(name: str, content_type: str, muxer: str, note: str) -> Format:
    """One of the family of containers that grew out of QuickTime."""
    return Format(
        name=name,
        kind="video",
        content_type=content_type,
        extension=name,
        muxer=muxer,
        video=("h264", "hevc", "av1", "vp9") if muxer == "mp4" else ("h264", "hevc"),
        audio=("aac", "mp3", "opus") if muxer == "mp4" else ("aac", "mp3"),
        subtitles=("mov_text",),
        copy_video=frozenset({"h264"}),
        copy_audio=frozenset({"aac"}),
        tracks=True,
        chapters=True,
        note=note,
    )


def _sound(
    name: str, content_type: str, muxer: str, codec: AudioCodec, note: str, *, copy: str | None = None
) -> Format:
    return Format(
        name=name,
        kind="audio",
        content_type=content_type,
        extension=name,
        muxer=muxer,
        audio=(codec,),
        copy_audio=frozenset({copy or codec}),
        note=note,
    )


_ALL: Final = (
    _iso("mp4", "video/mp4", "mp4", "Plays everywhere: H.264 and AAC."),
    Format(
        name="webm",
        kind="video",
        content_type="video/webm",
        extension="webm",
        muxer="webm",
        video=("vp9", "av1"),
        audio=("opus", "vorbis"),
        subtitles=("webvtt",),
        copy_video=frozenset({"vp8", "vp9", "av1"}),
        copy_audio=frozenset({"opus", "vorbis"}),
        tracks=True,
        chapters=True,
        note="Free codecs for the web: VP9 and Opus; keeps transparency.",
    ),
    Format(
        name="mkv",
        kind="video",
        content_type="video/x-matroska",
        extension="mkv",
        muxer="matroska",
        video=("h264", "hevc", "av1", "vp9"),
        audio=("aac", "opus", "mp3", "vorbis", "flac", "pcm"),
        subtitles=("subrip", "ass", "webvtt"),
        copy_video=_MODERN | {"vp8"},
        copy_audio=_MKV_AUDIO,
        tracks=True,
        chapters=True,
        note="Holds every kind of track, subtitles and chapters.",
    ),
    _iso("mov", "video/quicktime", "mov", "QuickTime, for Apple's tools."),
    _iso("m4v", "video/x-m4v", "mp4", "mp4 by the name that Apple's players use."),
    Format(
        name="avi",
        kind="video",
        content_type="video/x-msvideo",
        extension="avi",
        muxer="avi",
        video=("mpeg4", "h264"),
        audio=("mp3", "aac", "pcm"),
        copy_video=frozenset({"mpeg4"}),
        copy_audio=frozenset({"mp3"}),
        tracks=True,
        note="For old players: MPEG-4 and MP3.",
    ),
    Format(
        name="ts",
        kind="video",
        content_type="video/mp2t",
        extension="ts",
        muxer="mpegts",
        video=("h264", "hevc"),
        audio=("aac", "mp3"),
        copy_video=frozenset({"h264"}),
        copy_audio=frozenset({"aac", "mp3", "ac3"}),
        tracks=True,
        note="MPEG transport stream, for broadcasting and HLS.",
    ),
    Format(
        name="gif",
        kind="image",
        content_type="image/gif",
        extension="gif",
        muxer="gif",
        video=("gif",),
        note="Moving picture without sound, 256 colours.",
    ),
    Format(
        name="webp",
        kind="image",
        content_type="image/webp",
        extension="webp",
        muxer="webp",
        video=("webp",),
        note="Moving picture without sound, much smaller than gif.",
    ),
    _sound("mp3", "audio/mpeg", "mp3", "mp3", "Sound that plays everywhere."),
    Format(
        name="m4a",
        kind="audio",
        content_type="audio/mp4",
        extension="m4a",
        muxer="ipod",
        audio=("aac",),
        copy_audio=frozenset({"aac"}),
        chapters=True,
        note="AAC with title and chapters.",
    ),
    _sound("aac", "audio/aac", "adts", "aac", "AAC as a bare stream."),
    _sound("opus", "audio/ogg", "opus", "opus", "The best sound for its size."),
    Format(
        name="ogg",
        kind="audio",
        content_type="audio/ogg",
        extension="ogg",
        muxer="ogg",
        audio=("vorbis", "opus", "flac"),
        copy_audio=frozenset({"vorbis", "opus"}),
        note="Ogg Vorbis.",
    ),
    _sound("flac", "audio/flac", "flac", "flac", "Sound without loss."),
    _sound("wav", "audio/wav", "wav", "pcm", "Uncompressed sound.", copy="pcm_s16le"),
)

FORMATS: Final[dict[str, Format]] = {fmt.name: fmt for fmt in _ALL}
FORMAT_NAMES: Final = tuple(FORMATS)


def describe(fmt: Format) -> dict[str, Any]:
    """`fmt` as `GET /formats` shows it."""
    return {
        "name": fmt.name,
        "kind": fmt.kind,
        "content_type": fmt.content_type,
        "extension": fmt.extension,
        "video_codecs": list(fmt.video),
        "audio_codecs": list(fmt.audio),
        "subtitle_codecs": list(fmt.subtitles),
        "note": fmt.note,
    }
