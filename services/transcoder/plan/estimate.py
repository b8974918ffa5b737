"""Guesses of size and time, for those who want to know before they wait."""

from typing import Final

from services.common.options import Options
from services.transcoder.media import MediaInfo
from services.transcoder.plan.audio import bitrate_kbps
from services.transcoder.plan.encoders import Rate
from services.transcoder.plan.model import Decision, Estimate, Request
from services.transcoder.plan.video import VideoPlan

# (million pixels a second on one core, bits a pixel) by step of quality, measured with five seconds of an animated
# film at 1280x720 on a cloud server: right in their order of magnitude, which is what they are for.
_MEASURED: Final = {
    "h264": {"fast": (58.0, 0.045), "balanced": (24.0, 0.070), "best": (14.0, 0.125)},
    "hevc": {"fast": (24.0, 0.028), "balanced": (17.0, 0.039), "best": (12.0, 0.088)},
    "av1": {"fast": (50.0, 0.031), "balanced": (21.0, 0.043), "best": (6.8, 0.085)},
    "vp9": {"fast": (67.0, 0.058), "balanced": (10.5, 0.053), "best": (5.8, 0.082)},
    "mpeg4": {"fast": (173.0, 0.10), "balanced": (162.0, 0.15), "best": (152.0, 0.31)},
    "gif": {"fast": (3.4, 2.5), "balanced": (3.4, 2.5), "best": (3.4, 2.5)},
    "webp": {"fast": (16.0, 0.53), "balanced": (9.4, 0.61), "best": (9.0, 1.2)},
}
_MIDDLE_FACTOR: Final = {"h264": 23, "hevc": 26, "av1": 34, "vp9": 33}
_FACTORS_TO_HALF: Final = 6.0
_COPY_BYTES_A_SECOND: Final = 200e6
_AUDIO_SPEED: Final = 60.0  # media seconds a second
_START_S: Final = 0.12
_LOSSLESS_KBPS_A_CHANNEL: Final = {"flac": 400, "pcm": 768}
_USUAL_RATE: Final = 25.0
_USUAL_CORES: Final = 2
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
        speed, bits_a_pixel = _measured(codec, options.quality)
        bits += rate.bits if rate else pixels * bits_a_pixel
        cores = min(request.able.threads or _USUAL_CORES, _USEFUL_CORES)
        time_s += duration_s * pixels / (speed * 1e6 * cores) * (_TWO_PASS_COST if rate else 1.0)
    return Estimate(int(bits * duration_s / 8), round(time_s, 1))


def _measured(codec: str, quality: str | int) -> tuple[float, float]:
    """Million pixels a second on one core, and bits a pixel."""
    steps = _MEASURED[codec]
    if isinstance(quality, str):
        return steps[quality]
    speed, bits = steps["balanced"]
    return speed, float(bits * 2 ** ((_MIDDLE_FACTOR.get(codec, quality) - quality) / _FACTORS_TO_HALF))


def _audio_bits(info: MediaInfo, options: Options, track: Decision) -> float:
    stream = next(stream for stream in info.audio if stream.index == track.index)
    if track.copied:
        return stream.bit_rate or 128_000
    codec = str(track.summary.target)
    channels = options.sound.channels or stream.channels
    kbps = bitrate_kbps(codec, channels, options.sound.bitrate_kbps)
    return 1000 * (kbps or _LOSSLESS_KBPS_A_CHANNEL.get(codec, 80) * channels)
