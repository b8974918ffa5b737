"""The arguments of each video encoder, by codec and wanted quality."""

from dataclasses import dataclass
from typing import Final

from services.common.errors import ErrorCode, JobFailure
from services.transcoder.plan.geometry import Size
from services.transcoder.plan.model import STATISTICS, Capabilities, Hardware

# (preset, rate factor) a step of quality.  "balanced" is what each encoder's makers call a good compromise.
_X264: Final = {"fast": ("veryfast", 24), "balanced": ("medium", 23), "best": ("slow", 18)}
_X265: Final = {"fast": ("veryfast", 28), "balanced": ("fast", 26), "best": ("medium", 21)}
_SVT: Final = {"fast": ("11", 38), "balanced": ("9", 34), "best": ("6", 26)}
_VP9: Final = {"fast": ("8", 36), "balanced": ("5", 33), "best": ("2", 27)}
_MPEG4: Final = {"fast": 6, "balanced": 4, "best": 2}
_WEBP: Final = {"fast": ("2", 65), "balanced": ("4", 75), "best": ("4", 90)}

_SMALLEST_HEVC: Final = 16
_SMALLEST_SVT: Final = 64
_USUAL_DEPTH: Final = 8

_NAMES: Final[dict[Hardware, dict[str, str]]] = {
    "nvenc": {"h264": "h264_nvenc", "hevc": "hevc_nvenc", "av1": "av1_nvenc"},
    "qsv": {"h264": "h264_qsv", "hevc": "hevc_qsv", "av1": "av1_qsv", "vp9": "vp9_qsv"},
    "vaapi": {"h264": "h264_vaapi", "hevc": "hevc_vaapi", "av1": "av1_vaapi", "vp9": "vp9_vaapi"},
}
# Codecs whose encoders here work in two passes; the others aim at a bitrate in one.
TWO_PASS_CODECS: Final = frozenset({"h264", "hevc", "vp9", "mpeg4"})
VAAPI_DEVICE: Final = "/dev/dri/renderD128"


@dataclass(frozen=True, slots=True)
class Rate:
    """A bitrate to hit instead of a quality, in bits a second; `step` is 1 or 2 of two passes, 0 for one."""

    bits: int
    step: int = 0


@dataclass(frozen=True, slots=True)
class Encoder:
    """An encoder set up.

    Attributes:
        name: ffmpeg's name of it.
        args: after `-c:v`.
        pix_fmt: what the filters must hand it.
        init: global options that open its device.
        upload: filters that move the picture to the device.
        hardware: True if it runs on one.
    """

    name: str
    args: tuple[str, ...]
    pix_fmt: str
    init: tuple[str, ...] = ()
    upload: tuple[str, ...] = ()
    hardware: bool = False


def hardware_codecs(kind: Hardware) -> tuple[str, ...]:
    """The codecs that hardware of this kind may encode."""
    return tuple(_NAMES[kind])


@dataclass(frozen=True, slots=True)
class Wish:
    """What an encoder is to make.

    Attributes:
        codec: a video codec of `formats`.
        quality: a step, or a rate factor.
        size: of the picture, for encoders have a least size.
        bit_depth: 8 or 10.
        alpha: True to keep transparency.
        rate: a bitrate to hit instead of the quality.
        tag: arguments that name the codec as the container's players expect.
    """

    codec: str
    quality: str | int
    size: Size
    bit_depth: int = 8
    alpha: bool = False
    rate: Rate | None = None
    tag: tuple[str, ...] = ()

    @property
    def pix_fmt(self) -> str:
        return "yuv420p10le" if self.bit_depth > _USUAL_DEPTH else "yuv420p"


def video_encoder(wish: Wish, able: Capabilities) -> Encoder:
    """The encoder for `wish`, of those at hand.

    Raises:
        JobFailure: the picture is too small for the codec.
    """
    if able.hardware and wish.codec in able.hardware_codecs and _ordinary(wish):
        return hardware_encoder(able.hardware, wish)
    return _MAKERS[wish.codec](wish, able)


def _ordinary(wish: Wish) -> bool:
    """True for what hardware does everywhere."""
    return wish.rate is None and wish.bit_depth == _USUAL_DEPTH and not wish.alpha


def _x264(wish: Wish, able: Capabilities) -> Encoder:
    preset, factor = _step(_X264, wish.quality)
    aim = _bitrate(wish.rate) or ("-crf", str(factor))
    args = ("-preset", preset, *aim, "-profile:v", "high", *_pass(wish.rate), *_threads(able), *wish.tag)
    return Encoder("libx264", args, "yuv420p")


def _x265(wish: Wish, able: Capabilities) -> Encoder:
    if min(wish.size.width, wish.size.height) < _SMALLEST_HEVC:
        raise _too_small("hevc", _SMALLEST_HEVC)
    preset, factor = _step(_X265, wish.quality)
    params = ["log-level=error"]
    if able.threads:
        params.append(f"pools={able.threads}")
    if wish.rate and wish.rate.step:
        params += [f"pass={wish.rate.step}", f"stats={STATISTICS}"]
    aim = _bitrate(wish.rate) or ("-crf", str(factor))
    args = ("-preset", preset, *aim, "-x265-params", ":".join(params), *wish.tag)
    return Encoder("libx265", args, wish.pix_fmt)


def _av1(wish: Wish, able: Capabilities) -> Encoder:
    preset, factor = _step(_SVT, wish.quality)
    aim = _bitrate(wish.rate)
    if min(wish.size.width, wish.size.height) >= _SMALLEST_SVT and "libsvtav1" in able.encoders:
        limit = ("-svtav1-params", f"lp={able.threads}") if able.threads else ()
        args = ("-preset", preset, *(aim or ("-crf", str(factor))), *limit, *wish.tag)
        return Encoder("libsvtav1", args, wish.pix_fmt)
    if "libaom-av1" not in able.encoders:
        raise _too_small("av1", _SMALLEST_SVT)
    # Much slower, which for pictures of the size of a stamp does not matter.
    args = ("-cpu-used", "6", *(aim or ("-crf", str(factor), "-b:v", "0")), *_threads(able), *wish.tag)
    return Encoder("libaom-av1", args, wish.pix_fmt)


def _vp9(wish: Wish, able: Capabilities) -> Encoder:
    speed, factor = _step(_VP9, wish.quality)
    aim = _bitrate(wish.rate) or ("-crf", str(factor), "-b:v", "0")
    effort = ("-deadline", "realtime" if wish.quality == "fast" else "good", "-cpu-used", speed)
    args = (*effort, "-row-mt", "1", *aim, *_pass(wish.rate), *_threads(able))
    if wish.alpha:
        # Alternate reference frames would lose the transparent layer.
        return Encoder("libvpx-vp9", (*args, "-auto-alt-ref", "0"), "yuva420p")
    return Encoder("libvpx-vp9", args, wish.pix_fmt)


def _mpeg4(wish: Wish, able: Capabilities) -> Encoder:
    scale = _MPEG4[wish.quality] if isinstance(wish.quality, str) else max(1, min(31, wish.quality // 2))
    aim = _bitrate(wish.rate) or ("-q:v", str(scale))
    return Encoder("mpeg4", ("-vtag", "xvid", *aim, *_pass(wish.rate), *_threads(able)), "yuv420p")


def _webp(wish: Wish, _: Capabilities) -> Encoder:
    effort, level = _step(_WEBP, wish.quality)
    if not isinstance(wish.quality, str):
        level = max(0, 100 - 2 * wish.quality)
    return Encoder("libwebp_anim", ("-compression_level", effort, "-quality", str(level)), "bgra")


def _gif(_: Wish, __: Capabilities) -> Encoder:
    return Encoder("gif", (), "")


_MAKERS: Final = {
    "h264": _x264,
    "hevc": _x265,
    "av1": _av1,
    "vp9": _vp9,
    "mpeg4": _mpeg4,
    "webp": _webp,
    "gif": _gif,
}


def hardware_encoder(kind: Hardware, wish: Wish) -> Encoder:
    """The hardware encoder for `wish`."""
    name, level = _NAMES[kind][wish.codec], str(_step(_X264, wish.quality)[1])
    quality = str(wish.quality)
    args: tuple[str, ...]
    match kind:
        case "nvenc":
            preset = {"fast": "p2", "best": "p6"}.get(quality, "p4")
            args = ("-preset", preset, "-rc", "vbr", "-cq", level, "-b:v", "0", *wish.tag)
            return Encoder(name, args, "yuv420p", hardware=True)
        case "qsv":
            preset = {"fast": "veryfast", "best": "slow"}.get(quality, "medium")
            args = ("-preset", preset, "-global_quality", level, *wish.tag)
            device = ("-init_hw_device", "qsv=gpu", "-filter_hw_device", "gpu")
            return Encoder(name, args, "nv12", device, hardware=True)
        case "vaapi":
            args = ("-rc_mode", "CQP", "-qp", level, *wish.tag)
            return Encoder(name, args, "nv12", ("-vaapi_device", VAAPI_DEVICE), ("hwupload",), hardware=True)


def _threads(able: Capabilities) -> tuple[str, ...]:
    return ("-threads", str(able.threads)) if able.threads else ()


def _step(table: dict[str, tuple[str, int]], quality: str | int) -> tuple[str, int]:
    """Preset and rate factor; a number sets the factor and leaves the preset balanced."""
    if isinstance(quality, str):
        return table[quality]
    return table["balanced"][0], quality


def _bitrate(rate: Rate | None) -> tuple[str, ...]:
    return ("-b:v", str(rate.bits)) if rate else ()


def _pass(rate: Rate | None) -> tuple[str, ...]:
    return ("-pass", str(rate.step), "-passlogfile", STATISTICS) if rate and rate.step else ()


def _too_small(codec: str, smallest: int) -> JobFailure:
    return JobFailure(
        ErrorCode.INVALID_OPTIONS,
        f"This picture is too small for {codec}, which takes {smallest} pixels a side or more. Choose another codec.",
    )
