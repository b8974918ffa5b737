"""The bitrate that makes an output as large as asked."""

from typing import Final

from services.common.errors import ErrorCode, JobFailure
from services.transcoder.media import AudioStream
from services.transcoder.plan.audio import bitrate_kbps
from services.transcoder.plan.choice import Choice
from services.transcoder.plan.encoders import Rate
from services.transcoder.plan.model import Request

# Of the size, what is left for the media: containers want their share, and encoders overshoot a little.
_PAYLOAD: Final = 0.94
_LEAST_BITS: Final = 20_000
_GUESSED_AUDIO_BITS: Final = 192_000


def target_rate(request: Request, choice: Choice) -> Rate | None:
    """The bitrate of the picture; None if a quality is wanted instead, or no picture.

    Raises:
        JobFailure: the length is unknown, or the size is too small for it.
    """
    wish = request.options.two_pass
    if wish is None or choice.picture is None:
        return None
    if wish.bitrate_kbps is not None:
        return Rate(wish.bitrate_kbps * 1000)
    tracks, duration_s = choice.tracks, choice.duration_s
    if duration_s is None or duration_s <= 0:
        raise JobFailure(
            ErrorCode.INVALID_OPTIONS, "The length of this file is unknown, so no size can be aimed at. Give a bitrate."
        )
    sound = sum(_audio_bits(request, track) for track in tracks)
    bits = int(int(wish.target_size or 0) * 8 * _PAYLOAD / duration_s - sound)
    if bits < _LEAST_BITS:
        least = int((_LEAST_BITS + sound) * duration_s / 8 / _PAYLOAD / 1000) + 1
        raise JobFailure(
            ErrorCode.INVALID_OPTIONS,
            f"That size is too small for {duration_s:.0f} s. Ask for at least {least} KB, or for a shorter piece.",
        )
    return Rate(bits)


def _audio_bits(request: Request, track: AudioStream) -> int:
    wish = request.options.sound
    codec = wish.codec or request.fmt.audio[0]
    if codec == "copy":
        return track.bit_rate or _GUESSED_AUDIO_BITS
    kbps = bitrate_kbps(codec, wish.channels or track.channels, wish.bitrate_kbps)
    return max(1000 * kbps if kbps else _GUESSED_AUDIO_BITS * 4, track.bit_rate or 0 if kbps else 0)
