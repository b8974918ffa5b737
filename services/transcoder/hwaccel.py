"""Hardware encoders: found by letting each encode a few frames, for being compiled in says nothing."""

from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal, get_args

import structlog

from services.transcoder import ffmpeg
from services.transcoder.plan.encoders import Wish, hardware_codecs, hardware_encoder
from services.transcoder.plan.geometry import Size
from services.transcoder.plan.model import Capabilities, Hardware
from services.transcoder.sandbox import environment
from services.transcoder.tools import Tools

_log = structlog.stdlib.get_logger(__name__)

Hwaccel = Literal["auto", "none", "nvenc", "qsv", "vaapi"]

_ORDER: Final[tuple[Hardware, ...]] = get_args(Hardware)
_DEVICES: Final[dict[Hardware, str]] = {"nvenc": "nvidia*", "qsv": "dri/render*", "vaapi": "dri/render*"}
_TRIAL_TIMEOUT_S: Final = 15.0
_TRIAL_SIZE: Final = Size(256, 144)


def trial_command(kind: Hardware, codec: str) -> list[str]:
    """The command that encodes ten frames of nothing, the program by its name first."""
    encoder = hardware_encoder(kind, Wish(codec, "fast", _TRIAL_SIZE))
    filters = ",".join((f"format={encoder.pix_fmt}", *encoder.upload))
    return [
        *("ffmpeg", "-hide_banner", "-nostdin", "-loglevel", "error", *encoder.init),
        *("-f", "lavfi", "-i", f"color=size={_TRIAL_SIZE.width}x{_TRIAL_SIZE.height}:rate=10:duration=1"),
        *("-vf", filters, "-c:v", encoder.name, *encoder.args, "-f", "null", "-"),
    ]


async def detect(tools: Tools, wanted: Hwaccel, workdir: Path) -> tuple[Hardware | None, frozenset[str]]:
    """The kind of hardware to use and the codecs that it encoded; (None, nothing) where none works.

    Args:
        tools: the programs.
        wanted: a kind, `auto` for the first that works, `none` for the processor.
        workdir: a directory to run in.
    """
    if wanted == "none":
        return None, frozenset()
    for kind in _ORDER if wanted == "auto" else (wanted,):
        if wanted == "auto" and not _has_device(kind):
            continue
        codecs = await _working(tools, kind, hardware_codecs(kind), workdir)
        if codecs:
            _log.info("hardware_found", kind=kind, codecs=sorted(codecs))
            return kind, codecs
    level = _log.info if wanted == "auto" else _log.warning
    level("hardware_missing", wanted=wanted, using="the processor")
    return None, frozenset()


def _has_device(kind: Hardware) -> bool:
    return any(Path("/dev").glob(_DEVICES[kind]))


async def _working(tools: Tools, kind: Hardware, codecs: Sequence[str], workdir: Path) -> frozenset[str]:
    found = set[str]()
    for codec in codecs:
        command = trial_command(kind, codec)
        if command[command.index("-c:v") + 1] not in tools.encoders:
            continue
        result = await ffmpeg.run(
            tools.sandbox.wrap([tools.ffmpeg, *command[1:]], workdir=workdir, limits=tools.limits, devices=True),
            cwd=workdir,
            env=environment(workdir),
            timeout_s=_TRIAL_TIMEOUT_S,
        )
        if result.returncode == 0:
            found.add(codec)
        else:
            _log.debug("hardware_trial_failed", kind=kind, codec=codec, stderr=result.stderr[-500:])
    return frozenset(found)


def capabilities(tools: Tools, hardware: Hardware | None, codecs: frozenset[str], threads: int | None) -> Capabilities:
    """What plans are made for."""
    return Capabilities(tools.encoders, tools.filters, hardware, codecs, threads)
