"""The commands that the transcoder would run, run bare: the same ffmpeg, the same arguments, nothing else."""

import asyncio
import os
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import Any

from services.common.options import parse_options
from services.transcoder import hwaccel
from services.transcoder.converter import ffmpeg_threads
from services.transcoder.plan import make_plan
from services.transcoder.probe import probe, probe_command
from services.transcoder.settings import TranscoderSettings
from services.transcoder.tools import discover


@dataclass(frozen=True)
class Bare:
    """The commands of one conversion; they read `input` and write beside it."""

    source: Path
    commands: tuple[tuple[str, ...], ...]

    async def run(self, directory: Path) -> float:
        """Run them in a fresh `directory`; seconds, the copying of the input aside."""
        prepare(self.source, directory)
        begun = perf_counter()
        for command in self.commands:
            process = await asyncio.create_subprocess_exec(
                *command, cwd=directory, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.DEVNULL
            )
            if await process.wait():
                raise RuntimeError(f"failed: {command}")
        seconds = perf_counter() - begun
        shutil.rmtree(directory)
        return seconds


def prepare(source: Path, directory: Path) -> None:
    directory.mkdir(parents=True)
    os.link(source, directory / "input")


async def commands_for(
    source: Path,
    output_format: str,
    options: dict[str, Any],
    *,
    concurrency: int,
    directory: Path,
    threads: int | None = None,
    probed: bool = False,
) -> Bare:
    """What the transcoder at this concurrency would run for `source`.

    `threads` goes instead of its own choice; with `probed` ffprobe is among the commands, as it is for every job.
    """
    settings = TranscoderSettings(worker_concurrency=concurrency)
    tools = await discover(sandbox="none")
    place = directory / "plan"
    prepare(source, place)
    able = hwaccel.capabilities(tools, None, frozenset(), ffmpeg_threads(settings) if threads is None else threads)
    info = await probe(place / "input", tools)
    plan = make_plan(info, output_format, parse_options(options), able=able, source="input", loudness=None)
    shutil.rmtree(place)
    probing = [tuple(probe_command(tools.ffprobe, Path("input")))] if probed else []
    return Bare(source, (*probing, *((tools.ffmpeg, *one.argv[1:]) for one in plan.passes)))


async def run_all(jobs: Sequence[Bare], directory: Path, *, at_a_time: int) -> float:
    """Run all of them, some at a time; seconds for the whole."""
    slots = asyncio.Semaphore(at_a_time)

    async def one(number: int, job: Bare) -> None:
        async with slots:
            await job.run(directory / str(number))

    begun = perf_counter()
    await asyncio.gather(*(one(number, job) for number, job in enumerate(jobs)))
    return perf_counter() - begun
