"""Guesses of size and time, for those who want to know before they wait."""

from typing import Final

from services.common.options import Options
from services.transcoder.media import MediaInfo
from services.transcoder.plan.audio import bitrate_kbps
from services.transcoder.plan.encoders import Rate
from services.transcoder.plan.model import Decision, Estimate, Request
from services.transcoder.plan.video import VideoPlan

# Bits a pixel at the middle quality, and how many rate factors halve them.
_BITS_A_PIXEL: Final = {"h264": 0.10, "hevc": 0.06, "av1": 0.05, "vp9": 0.06, "mpeg4": 0.2, "gif": 3.0, "webp": 0.5}
_MIDDLE_FACTOR: Final = {"h264": 23, "hevc": 26, "av1": 34, "vp9": 33}
_FACTORS_TO_HALF: Final = 6.0
_STEP_SIZE: Final = {"fast": 0.9, "balanced": 1.0, "best": 1.8}
# Million pixels a second on one core, measured with testsrc2 at 1280x720 on the cores this was written on.
_SPEED: Final = {"h264": 28.0, "hevc": 9.0, "av1": 16.0, "vp9": 6.0, "mpeg4": 90.0, "gif": 15.0, "webp": 2.0}
_STEP_SPEED: Final = {"fast": 2.5, "balanced": 1.0, "best": 0.5}
_COPY_BYTES_A_SECOND: Final = 200e6
_AUDIO_SPEED: Final = 60.0  # media seconds a second
_START_S: Final = 0.12
_LOSSLESS_KBPS_A_CHANNEL: Final = {"flac": 400, "pcm": 768}
_USUAL_RATE: Final = 25.0
_USEFUL_CORES: Final = 8
_TWO_PASS_COST: Final = 1.6


def estimate(
    request: Request, video: VideoPlan | None, audio: list[Decision], *, rate: Rate | None, duration_s: float | None
) -> Estimate:
    """Size and time of a job; neither if the length is unknown."""
    if duration_s is None:
        return Estimate(None, None)
    info, options = request.info, request.options
    bits = sum(_audio_bits(info, options, track) for track in audio)
    time_s = _START_S + duration_s / _AUDIO_SPEED * sum(not track.copied for track in audio)
    if video is not None and video.decision.copied:
        whole = info.size * 8 / info.duration_s if info.duration_s else 0.0
        bits += max(0.0, whole - bits)
        time_s += info.size / _COPY_BYTES_A_SECOND
    elif video is not None:
        codec = str(video.decision.summary.target)
        pixels = video.picture.width * video.picture.height * float(video.picture.rate or _USUAL_RATE)
        bits += rate.bits if rate else pixels * _bits_a_pixel(codec, options.quality)
        cores = min(request.able.threads or 2, _USEFUL_CORES)
        speed = _SPEED.get(codec, 10.0) * 1e6 * _STEP_SPEED.get(str(options.quality), 1.0) * cores
        time_s += duration_s * pixels / speed * (_TWO_PASS_COST if rate else 1.0)
    return Estimate(int(bits * duration_s / 8), round(time_s, 1))


def _bits_a_pixel(codec: str, quality: str | int) -> float:
    middle = _BITS_A_PIXEL.get(codec, 0.1)
    if isinstance(quality, str):
        return middle * _STEP_SIZE[quality]
    return float(middle * 2 ** ((_MIDDLE_FACTOR.get(codec, 23) - quality) / _FACTORS_TO_HALF))


def _audio_bits(info: MediaInfo, options: Options, track: Decision) -> float:
    stream = next(stream for stream in info.audio if stream.index == track.index)
    if track.copied:
        return stream.bit_rate or 128_000
    codec = str(track.summary.target)
    channels = options.sound.channels or stream.channels
    kbps = bitrate_kbps(codec, channels, options.sound.bitrate_kbps)
    return 1000 * (kbps or _LOSSLESS_KBPS_A_CHANNEL.get(codec, 80) * channels)
