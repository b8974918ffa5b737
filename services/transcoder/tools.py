"""The programs that do the work, and what they can do on this machine; found once, at the start."""

import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import anyio
import structlog

from services.transcoder.sandbox import Limits, Mode, Sandbox, detect

_log = structlog.stdlib.get_logger(__name__)
_LISTED: Final = re.compile(r"^\s*[A-Z.|]{2,8}\s+(\S+)\s", re.MULTILINE)
_ASK_TIMEOUT_S: Final = 20.0


class ToolsMissingError(RuntimeError):
    """ffmpeg or ffprobe is not installed; the message says what to do."""


@dataclass(frozen=True, slots=True)
class Tools:
    """The programs by their whole paths, and their walls.

    Attributes:
        version: of ffmpeg, for the log.
        encoders, filters: ffmpeg's names of those it was built with.
    """

    ffmpeg: str
    ffprobe: str
    sandbox: Sandbox
    limits: Limits
    version: str = ""
    encoders: frozenset[str] = frozenset()
    filters: frozenset[str] = frozenset()


async def discover(
    *,
    ffmpeg: str = "ffmpeg",
    ffprobe: str = "ffprobe",
    sandbox: Mode = "auto",
    limits: Limits = Limits(),  # noqa: B008 -- frozen
) -> Tools:
    """Finds the programs and asks them what they can.

    Raises:
        ToolsMissingError: there is no ffmpeg or ffprobe.
    """
    program, prober = _find(ffmpeg), _find(ffprobe)
    answers: dict[str, str] = {}

    async def ask(question: str) -> None:
        answers[question] = await _ask(program, question)

    async with anyio.create_task_group() as questions:
        for question in ("-version", "-encoders", "-filters"):
            questions.start_soon(ask, question)
    tools = Tools(
        ffmpeg=program,
        ffprobe=prober,
        sandbox=await detect(program, sandbox),
        limits=limits,
        version=answers["-version"].partition("\n")[0].removeprefix("ffmpeg version ").split(" ")[0],
        encoders=frozenset(_LISTED.findall(answers["-encoders"])),
        filters=frozenset(_LISTED.findall(answers["-filters"])),
    )
    _log.info("ffmpeg_found", path=program, version=tools.version)
    return tools


def _find(name: str) -> str:
    path = shutil.which(name)
    if path is None:
        raise ToolsMissingError(f"{name} was not found. Install ffmpeg 5.1 or later.")
    return str(Path(path).absolute())


async def _ask(program: str, question: str) -> str:
    with anyio.move_on_after(_ASK_TIMEOUT_S):
        done = await anyio.run_process([program, "-hide_banner", question], check=False, stdin=subprocess.DEVNULL)
        return done.stdout.decode(errors="replace")
    _log.warning("ffmpeg_silent", path=program, question=question)
    return ""
