"""From a local input file to local output files, readable in order: probe, plan, run, verify."""

import asyncio
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import structlog

from services.common import telemetry
from services.common.errors import ErrorCode, JobFailure
from services.common.formats import FORMATS
from services.common.jobs import Plan, Progress, Stage, Warning_
from services.common.options import Options, OptionsError, parse_options
from services.transcoder import diagnose
from services.transcoder.diagnose import Found
from services.transcoder.loudness import parse_loudness
from services.transcoder.media import MediaInfo
from services.transcoder.places import Place
from services.transcoder.plan import Capabilities, Estimate, TranscodePlan, make_plan
from services.transcoder.plan.model import Loudness, LoudnessByIndex
from services.transcoder.probe import probe
from services.transcoder.result import Result
from services.transcoder.runner import Bounds, Runner
from services.transcoder.sharing import Sharing, shares
from services.transcoder.tools import Tools

__all__ = ["Bounds", "Conversion", "Converter", "LocalOutput", "Preview", "preview"]

_log = structlog.stdlib.get_logger(__name__)

OnProgress = Callable[[Stage, Progress], None]

# Stands for what has not been measured yet.
_SOME_LOUDNESS: Final = Loudness("-23.00", "-2.00", "7.00", "-33.00", "0.00")


@dataclass(frozen=True, slots=True)
class LocalOutput:
    """A file that a conversion made: `kind` is that of its format, or `thumbnail`."""

    path: Path
    kind: str
    content_type: str


@dataclass(frozen=True, slots=True)
class Conversion:
    """What a conversion made, the main output first."""

    outputs: tuple[LocalOutput, ...]
    plan: Plan
    warnings: tuple[Warning_, ...]


@dataclass(frozen=True, slots=True)
class Preview:
    """What a conversion would do."""

    plan: Plan
    warnings: tuple[Warning_, ...]
    estimate: Estimate


class Converter:
    """Converts files with the tools of this machine.  Holds no state of any job."""

    def __init__(
        self, tools: Tools, able: Capabilities, bounds: Bounds | None = None, *, at_a_time: int | None = None
    ) -> None:
        """`at_a_time` conversions run at a time, as many as are asked for if it is None; probing does not count."""
        self._tools = tools
        self._able = able
        self._bounds = bounds or Bounds()
        self._slots = asyncio.Semaphore(at_a_time or sys.maxsize)
        self._sharing = Sharing(shares(at_a_time) if at_a_time else ())

    async def __call__(
        self, source: Path, workdir: Path, output_format: str, options: Mapping[str, Any], on_progress: OnProgress
    ) -> Conversion:
        """Converts `source` to `output_format`; every file it makes lies in `workdir`.

        Raises:
            JobFailure: it can't be done, now (`transient`) or ever.
        """
        wishes = _wishes(options)
        on_progress(Stage.PROBING, Progress())
        with telemetry.span(Stage.PROBING):
            info = await probe(source, self._tools)
        run = _Run(
            tools=self._tools,
            able=self._able,
            bounds=self._bounds,
            source=source,
            workdir=workdir,
            info=info,
            options=wishes,
            output_format=output_format,
            on_progress=on_progress,
            sharing=self._sharing,
        )
        plan = run.plan(self._able, None)
        await self._slots.acquire()
        slot = Place(self._slots)
        try:
            with telemetry.span(Stage.TRANSCODING):
                return await run.convert(plan, slot.free)
        finally:
            slot.free()

    async def preview(self, source: Path, output_format: str, options: Mapping[str, Any]) -> Preview:
        """What converting `source` would do, without doing it.

        Raises:
            JobFailure: it can't be done.
        """
        wishes = _wishes(options)
        return preview(await probe(source, self._tools), output_format, wishes, self._able)


def preview(info: MediaInfo, output_format: str, options: Options, able: Capabilities) -> Preview:
    """What converting a file that holds `info` would do.

    Raises:
        JobFailure: it can't be done.
    """
    loudness = {track.index: _SOME_LOUDNESS for track in info.audio} if options.sound.normalize else None
    plan = make_plan(info, output_format, options, able=able, loudness=loudness)
    return Preview(plan.summary, plan.warnings, plan.estimate)


def _wishes(options: Mapping[str, Any]) -> Options:
    try:
        return parse_options(options)
    except OptionsError as error:
        field, message = error.errors[0]
        raise JobFailure(ErrorCode.INVALID_OPTIONS, f"{field}: {message}") from None


@dataclass(frozen=True, slots=True)
class _Run:
    """One conversion under way."""

    tools: Tools
    able: Capabilities
    bounds: Bounds
    source: Path
    workdir: Path
    info: MediaInfo
    options: Options
    output_format: str
    on_progress: OnProgress
    sharing: Sharing

    async def convert(self, plan: TranscodePlan, on_written: Callable[[], None]) -> Conversion:
        """Converts by `plan`, with the processor if the hardware fails.

        `on_written` is called as soon as ffmpeg has nothing left to do but to end, or later.
        """
        try:
            return await self._convert(self.able, plan, on_written)
        except JobFailure as failure:
            if not self._may_lie_with_hardware(failure):
                raise
            _log.warning("hardware_encoder_failed", kind=self.able.hardware, code=failure.code, stderr=failure.detail)
            able = replace(self.able, hardware=None)
            return await self._convert(able, self.plan(able, None), on_written)

    def _may_lie_with_hardware(self, failure: JobFailure) -> bool:
        if self.able.hardware is None or failure.code in (ErrorCode.INVALID_OPTIONS, ErrorCode.NO_VIDEO):
            return False
        return self.plan(self.able, {}).hardware

    async def _convert(self, able: Capabilities, plan: TranscodePlan, on_written: Callable[[], None]) -> Conversion:
        runner = Runner(
            self.tools,
            self.bounds,
            self.source,
            self.workdir,
            lambda progress: self.on_progress(Stage.TRANSCODING, progress),
            self.sharing,
        )
        self.on_progress(Stage.TRANSCODING, Progress())
        measures = plan.measures
        if measures:
            result = await runner.run(plan)
            plan = self.plan(able, parse_loudness(result.stderr, measures))
        _log.info("plan_made", streams=[stream.model_dump() for stream in plan.summary.streams])
        result = await runner.run(plan, measured=bool(measures), on_written=on_written)
        return await self._verified(plan, result)

    def plan(self, able: Capabilities, loudness: LoudnessByIndex | None) -> TranscodePlan:
        name = self.source.name if self.source.parent == self.workdir else str(self.source)
        return make_plan(self.info, self.output_format, self.options, able=able, source=name, loudness=loudness)

    async def _verified(self, plan: TranscodePlan, result: Result) -> Conversion:
        output = self.workdir / plan.output
        fmt = FORMATS[self.output_format]
        found = Found(result.last.out_time_s, result.last.frame)
        if diagnose.looks_short(plan.expected, found) and fmt.kind != "image":
            found = await self._measured(output)
        warnings = diagnose.written(result, plan.expected, found, size=_size(output))
        outputs = [LocalOutput(output, fmt.kind, fmt.content_type)]
        if plan.thumbnail is not None and _size(self.workdir / plan.thumbnail) > 0:
            outputs.append(LocalOutput(self.workdir / plan.thumbnail, "thumbnail", "image/jpeg"))
        return Conversion(tuple(outputs), plan.summary, (*plan.warnings, *warnings))

    async def _measured(self, output: Path) -> Found:
        try:
            info = await probe(output, self.tools)
        except JobFailure as failure:
            # An output that cannot be read is a failure of its own, not that of a wrong upload.
            raise JobFailure(ErrorCode.CORRUPT_INPUT, detail=failure.detail) from failure
        return Found(info.duration_s, info.video[0].frames if info.video else None)


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
