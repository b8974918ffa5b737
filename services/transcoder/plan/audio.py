"""What becomes of the sound tracks: copied when they fit, otherwise encoded, and how."""

from collections.abc import Iterator
from typing import Final

from services.common.errors import ErrorCode, JobFailure
from services.common.jobs import StreamPlan
from services.common.options import AudioOptions
from services.transcoder.media import AudioStream
from services.transcoder.plan import containers
from services.transcoder.plan.model import Decision, Loudness, Request

_ENCODERS: Final = {
    "aac": "aac",
    "mp3": "libmp3lame",
    "opus": "libopus",
    "vorbis": "libvorbis",
    "flac": "flac",
    "pcm": "pcm_s16le",
}
_RATES: Final[dict[str, tuple[int, ...]]] = {
    "aac": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "mp3": (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000),
    "opus": (48000,),
    "vorbis": (8000, 11025, 16000, 22050, 32000, 44100, 48000),
}
_MOST_CHANNELS: Final = {"mp3": 2, "aac": 6}
# Speakers by number of channels, in the layouts that every coder here and every player knows.
_LAYOUTS: Final = ("", "mono", "stereo", "3.0", "quad", "5.0", "5.1", "6.1", "7.1")
_AAC_LAYOUTS: Final = ("", "mono", "stereo", "3.0", "4.0", "5.0", "5.1")
_KBPS: Final = {
    "aac": (96, 160, 224, 288, 336, 384),
    "mp3": (96, 192),
    "opus": (64, 128, 176, 224, 256, 288, 320, 352),
}
_MOST_KBPS: Final = {"mp3": 320, "aac": 512}
_OPUS_KBPS_A_CHANNEL: Final = 256
_VORBIS_QUALITY: Final = "5"
_DEEP: Final = 16
_MIXED: Final = 8  # channels that ffmpeg can mix down

_LOUDNESS: Final = "I=-16:TP=-1.5:LRA=11"


def choose_tracks(request: Request) -> tuple[AudioStream, ...]:
    """The tracks to keep: all, or the default one where only one can stay."""
    if request.options.audio == "none" or request.fmt.kind == "image":
        return ()
    tracks = tuple(stream for stream in request.info.audio if usable(stream))
    if request.fmt.tracks or not tracks:
        return tracks
    return (default_track(tracks),)


def usable(stream: AudioStream) -> bool:
    """True if ffmpeg knows what the track is."""
    return stream.codec is not None and stream.channels > 0


def default_track(tracks: tuple[AudioStream, ...]) -> AudioStream:
    """The track that a player would choose."""
    return next((track for track in tracks if track.default), tracks[0])


def plan_audio(request: Request, stream: AudioStream, loudness: Loudness | None) -> Decision:
    """What becomes of one track; `loudness` is what was measured of it, if it is to be normalized and could be.

    Raises:
        JobFailure: what was asked cannot be done with this track.
    """
    fmt, wish = request.fmt, request.options.sound
    if wish.codec == "copy":
        if not containers.stores_audio(fmt, stream.codec):
            raise JobFailure(
                ErrorCode.INVALID_OPTIONS,
                f"{fmt.name} cannot hold {stream.codec} as it is. Leave out the audio codec.",
            )
        return _copy(stream, "copy was asked for")
    reason = next(_against_copy(request, stream), None)
    if reason is None:
        return _copy(stream, "already right for this format")
    return _encode(stream, wish.codec or fmt.audio[0], wish, loudness, reason)


def measure_filter(stream: AudioStream) -> str:
    """The filter that measures loudness and writes it, by the name `track{index}`, as JSON to standard error."""
    return f"loudnorm@track{stream.index}={_LOUDNESS}:print_format=json"


def _against_copy(request: Request, stream: AudioStream) -> Iterator[str]:
    """Reasons why the sound has to be encoded, the most telling first."""
    info, fmt, wish = request.info, request.fmt, request.options.sound
    names = {"pcm": "pcm_s16le"}
    asked = names.get(wish.codec, wish.codec) if wish.codec else None
    if asked is not None and asked != stream.codec:
        yield f"{wish.codec} was asked for"
    if stream.codec not in fmt.copy_audio | {asked}:
        yield f"players of {fmt.name} expect {fmt.audio[0]}, not {stream.codec}"
    if wish.normalize:
        yield "its loudness is evened out"
    if wish.bitrate_kbps is not None:
        yield "a bitrate was asked for"
    if wish.channels is not None and wish.channels != stream.channels:
        yield f"{wish.channels} channels were asked for"
    if request.start_s > 0:
        yield "a cut that is exact needs new packets"
    if stream.codec == "aac" and stream.profile not in ("LC", "HE-AAC", "HE-AACv2"):
        yield f"AAC profile {stream.profile} does not play everywhere"
    if stream.channels > _MOST_CHANNELS.get(str(stream.codec), 8):
        yield f"{stream.channels} channels do not play everywhere"
    if not containers.trusted(info.formats, sound=True):
        yield f"time stamps of {info.formats[0]} have to be put right"


def _copy(stream: AudioStream, reason: str) -> Decision:
    summary = StreamPlan(
        stream=stream.index, type="audio", codec=stream.codec, action="copy", target=stream.codec, reason=reason
    )
    return Decision(stream.index, summary, ("-c", "copy"))


def _encode(stream: AudioStream, codec: str, wish: AudioOptions, loudness: Loudness | None, reason: str) -> Decision:
    channels = min(wish.channels or stream.channels, _MOST_CHANNELS.get(codec, 8))
    rate = sample_rate(codec, stream.sample_rate)
    layout = (_AAC_LAYOUTS if codec == "aac" else _LAYOUTS)[channels]
    filters = ["aresample=async=1:first_pts=0"]
    notes = []
    if stream.channels > _MIXED:
        # Nobody knows how to mix so many; they are mostly microphones side by side.
        filters.append("|".join([f"pan={layout}", *(f"c{number}=c{number}" for number in range(channels))]))
        notes.append(f"the first {channels} of {stream.channels} channels are kept")
    elif (stream.layout or layout) != layout or channels != stream.channels:
        notes.append(f"{stream.layout or f'{stream.channels} channels'} becomes {layout}")
    if loudness is not None:
        filters.append(_normalize(loudness))
        notes.append("loudness set to -16 LUFS")
    elif wish.normalize:
        notes.append("silent, so its loudness was left")
    filters.append(f"aformat=sample_rates={rate}:channel_layouts={layout}")
    summary = StreamPlan(
        stream=stream.index,
        type="audio",
        codec=stream.codec,
        action="encode",
        target=codec,
        reason="; ".join([reason, *notes]),
    )
    encoder = "pcm_s24le" if codec == "pcm" and stream.bits > _DEEP else _ENCODERS[codec]
    args = ("-c", encoder, *_rate_args(codec, channels, rate, wish.bitrate_kbps))
    return Decision(stream.index, summary, args, tuple(filters))


def sample_rate(codec: str, given: int) -> int:
    """The rate to encode at: `given` if the codec has it, otherwise the next above, otherwise its highest."""
    rates = _RATES.get(codec)
    if rates is None:
        return given or 48000
    return next((rate for rate in rates if rate >= given), rates[-1])


def bitrate_kbps(codec: str, channels: int, wanted: int | None) -> int | None:
    """Kilobits a second of a track; None where the codec takes none."""
    table = _KBPS.get(codec)
    if wanted is not None:
        most = _OPUS_KBPS_A_CHANNEL * channels if codec == "opus" else _MOST_KBPS.get(codec, wanted)
        return min(wanted, most)
    return table[min(channels, len(table)) - 1] if table else None


def _rate_args(codec: str, channels: int, rate: int, wanted: int | None) -> tuple[str, ...]:
    kbps = bitrate_kbps(codec, channels, wanted)
    if codec == "vorbis" and (kbps is None or rate < 32000):  # noqa: PLR2004 -- lower ones have few bitrates
        return ("-q", _VORBIS_QUALITY)
    if codec in ("flac", "pcm") or kbps is None:
        return ()
    return ("-b", f"{kbps}k")


def _normalize(measured: Loudness) -> str:
    return (
        f"loudnorm={_LOUDNESS}:linear=true"
        f":measured_I={measured.input_i}:measured_TP={measured.input_tp}:measured_LRA={measured.input_lra}"
        f":measured_thresh={measured.input_thresh}:offset={measured.target_offset}"
    )
