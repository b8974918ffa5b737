"""Runs conversions as a transcoder does, and looks at what came out."""

import json
import os
import shutil
import subprocess
import tempfile
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import pytest

from services.common.errors import JobFailure
from services.common.jobs import Progress, Stage, StreamPlan
from services.transcoder.convert import Bounds, Conversion, Converter
from services.transcoder.plan import Capabilities
from services.transcoder.sandbox import Limits
from services.transcoder.tools import Tools, discover


@dataclass(frozen=True)
class Made:
    """An output, and how the job told of it."""

    conversion: Conversion
    progress: list[tuple[Stage, Progress]]

    @property
    def path(self) -> Path:
        return self.conversion.outputs[0].path

    @property
    def thumbnail(self) -> Path | None:
        found = [output.path for output in self.conversion.outputs if output.kind == "thumbnail"]
        return found[0] if found else None

    @property
    def warnings(self) -> list[str]:
        return [warning.code for warning in self.conversion.warnings]

    @property
    def percents(self) -> list[float]:
        return [progress.percent for _, progress in self.progress if progress.percent is not None]

    @cached_property
    def probed(self) -> dict[str, Any]:
        return probe(self.path)

    @property
    def duration(self) -> float:
        return float(self.probed["format"]["duration"])

    @property
    def video(self) -> dict[str, Any]:
        (stream,) = self.streams("video")
        return stream

    @property
    def audio(self) -> dict[str, Any]:
        return self.streams("audio")[0]

    def streams(self, kind: str) -> list[dict[str, Any]]:
        return [stream for stream in self.probed["streams"] if stream["codec_type"] == kind]

    def fate(self, index: int) -> StreamPlan:
        return next(stream for stream in self.conversion.plan.streams if stream.stream == index)


class Studio:
    """A converter, with a fresh directory for each conversion."""

    def __init__(self, tools: Tools, able: Capabilities, root: Path, bounds: Bounds | None = None) -> None:
        self.tools = tools
        self.able = able
        self.root = root
        self._bounds = bounds or Bounds(stall_timeout_s=120, timeout_s=240)

    def directory(self) -> Path:
        return Path(tempfile.mkdtemp(dir=self.root))

    async def convert(self, source: Path, output_format: str = "mp4", /, **options: Any) -> Made:
        """What the job would make of `source`."""
        directory = self.directory()
        taken = directory / "input"
        shutil.copy(source, taken)
        progress: list[tuple[Stage, Progress]] = []
        converter = Converter(self.tools, self.able, self._bounds)
        conversion = await converter(
            taken, directory, output_format, options, lambda stage, now: progress.append((stage, now))
        )
        return Made(conversion, progress)

    async def failure(self, source: Path, output_format: str = "mp4", /, **options: Any) -> JobFailure:
        """Why the job would fail."""
        with pytest.raises(JobFailure) as failed:
            await self.convert(source, output_format, **options)
        return failed.value

    def limited(self, limits: Limits) -> "Studio":
        return Studio(replace(self.tools, limits=limits), self.able, self.root)


async def open_studio(root: Path) -> Studio:
    tools = await discover(ffmpeg=os.environ.get("TEST_FFMPEG", "ffmpeg"))
    return Studio(tools, Capabilities(tools.encoders, tools.filters, threads=2), root)


def probe(path: Path, *arguments: str) -> dict[str, Any]:
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_format", "-show_streams", "-show_chapters"]
    done = subprocess.run([*command, *arguments, str(path)], capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def frame(path: Path, at_s: float = 0.0, size: tuple[int, int] = (32, 18)) -> bytes:
    """The frame shown at a time, as RGB."""
    scale = f"scale={size[0]}:{size[1]}:flags=area,format=rgb24"
    seek = ["-ss", str(at_s)] if at_s else []
    command = ["ffmpeg", "-v", "error", "-nostdin", *seek, "-i", str(path), "-frames:v", "1", "-vf", scale]
    done = subprocess.run([*command, "-f", "rawvideo", "-"], capture_output=True, check=True)
    assert len(done.stdout) == size[0] * size[1] * 3
    return done.stdout


def pixel(path: Path, x: float, y: float, at_s: float = 0.0) -> tuple[int, int, int]:
    """The colour at a place, given as shares of width and height."""
    width, height = 32, 18
    data = frame(path, at_s, (width, height))
    start = (int(y * height) * width + int(x * width)) * 3
    return data[start], data[start + 1], data[start + 2]


def difference(one: bytes, other: bytes) -> float:
    """Mean distance of two frames, 0 to 255."""
    return sum(abs(a - b) for a, b in zip(one, other, strict=True)) / len(one)


def frames(path: Path, stream: str = "v:0") -> list[float]:
    """The time stamps of all frames."""
    command = ["ffprobe", "-v", "error", "-select_streams", stream, "-show_entries", "frame=best_effort_timestamp_time"]
    done = subprocess.run([*command, "-of", "csv=p=0", str(path)], capture_output=True, check=True, text=True)
    return [float(line.strip(",")) for line in done.stdout.split() if line.strip(",") != "N/A"]


def loud_from(path: Path) -> float:
    """The second at which sound begins after the first silence."""
    ends = _ends(path, "-af", "silencedetect=n=-40dB:d=0.1", "silence_end:")
    return ends[0] if ends else 0.0


def bright_from(path: Path) -> float:
    """The second at which the picture is no longer black."""
    ends = _ends(path, "-vf", "blackdetect=d=0.1:pix_th=0.5", "black_end:")
    return ends[0] if ends else 0.0


def _ends(path: Path, kind: str, detector: str, label: str) -> list[float]:
    command = ["ffmpeg", "-nostdin", "-i", str(path), kind, detector, "-f", "null", "-"]
    done = subprocess.run(command, capture_output=True, check=True, text=True)
    return [float(line.split(label)[1].split()[0]) for line in done.stderr.splitlines() if label in line]
