"""What can lie in each container, and which input containers can be trusted to copy from."""

from typing import Final

from services.common.formats import Format

# ffmpeg's names of codecs that a container stores, for those who insist on a copy; None is anything.
_VIDEO: Final[dict[str, frozenset[str] | None]] = {
    "mp4": frozenset({"h264", "hevc", "av1", "vp9", "mpeg4", "mpeg2video", "mpeg1video", "mjpeg"}),
    "mov": frozenset({"h264", "hevc", "mpeg4", "mpeg2video", "prores", "dnxhd", "mjpeg", "qtrle", "dvvideo"}),
    "webm": frozenset({"vp8", "vp9", "av1"}),
    "matroska": None,
    "avi": frozenset({"mpeg4", "mjpeg", "h264", "msmpeg4v3", "dvvideo", "huffyuv", "ffv1", "rawvideo"}),
    "mpegts": frozenset({"h264", "hevc", "mpeg2video", "mpeg1video", "mpeg4"}),
}
_AUDIO: Final[dict[str, frozenset[str] | None]] = {
    "mp4": frozenset({"aac", "mp3", "ac3", "eac3", "opus", "alac", "mp2"}),
    "mov": frozenset({"aac", "mp3", "ac3", "eac3", "alac", "pcm_s16le", "pcm_s24le", "pcm_s16be", "pcm_s24be"}),
    "webm": frozenset({"opus", "vorbis"}),
    "matroska": None,
    "avi": frozenset({"mp3", "mp2", "ac3", "aac", "pcm_s16le", "pcm_u8"}),
    "mpegts": frozenset({"aac", "mp3", "mp2", "ac3", "eac3", "opus"}),
    "mp3": frozenset({"mp3"}),
    "ipod": frozenset({"aac", "alac"}),
    "adts": frozenset({"aac"}),
    "opus": frozenset({"opus"}),
    "ogg": frozenset({"vorbis", "opus", "flac", "speex"}),
    "flac": frozenset({"flac"}),
    "wav": frozenset({"pcm_s16le", "pcm_s24le", "pcm_s32le", "pcm_f32le", "pcm_u8", "pcm_alaw", "pcm_mulaw"}),
}
# Text subtitles that lie in a container as they are.
_SUBTITLES: Final[dict[str, frozenset[str]]] = {
    "mp4": frozenset({"mov_text"}),
    "mov": frozenset({"mov_text"}),
    "webm": frozenset({"webvtt"}),
    "matroska": frozenset(
        {"subrip", "srt", "ass", "ssa", "webvtt", "hdmv_pgs_subtitle", "dvd_subtitle", "dvb_subtitle"}
    ),
}
# Their time stamps tell when each frame is shown, so that packets can move to another container unseen.
# Streams made to be received midway (mpegts, mpeg) jump, and avi has no time stamps at all.
_TRUSTED: Final = frozenset({"mov", "matroska", "flv", "webm"})
_TRUSTED_SOUND: Final = _TRUSTED | {"mp3", "flac", "ogg", "wav", "aac", "aiff", "caf", "w64"}


def stores_video(fmt: Format, codec: str | None) -> bool:
    """True if the container of `fmt` can hold a picture of `codec`."""
    return _holds(_VIDEO, fmt, codec)


def stores_audio(fmt: Format, codec: str | None) -> bool:
    """True if the container of `fmt` can hold sound of `codec`."""
    return _holds(_AUDIO, fmt, codec)


def stores_subtitle(fmt: Format, codec: str | None) -> bool:
    """True if subtitles of `codec` can be copied into the container of `fmt`."""
    return codec in _SUBTITLES.get(fmt.muxer, frozenset())


def trusted(formats: tuple[str, ...], *, sound: bool = False) -> bool:
    """True if packets can be copied out of a container of these names."""
    return not (_TRUSTED_SOUND if sound else _TRUSTED).isdisjoint(formats)


def _holds(table: dict[str, frozenset[str] | None], fmt: Format, codec: str | None) -> bool:
    held = table.get(fmt.muxer, frozenset())
    return codec is not None and (held is None or codec in held)
