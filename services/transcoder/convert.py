"""From a local input file to local output files, readable in order: probe, plan, run, verify."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import anyio
import structlog

from services.common import metrics
from services.common.errors import ErrorCode, JobFailure
from services.common.formats import FORMATS
from services.common.jobs import Plan, Progress, Stage, Warning_
from services.common.options import Options, OptionsError, parse_options
from services.transcoder import diagnose, ffmpeg
from services.transcoder.diagnose import Found
from services.transcoder.loudness import parse_loudness
from services.transcoder.media import MediaInfo
from services.transcoder.plan import Capabilities, Estimate, Pass, TranscodePlan, make_plan
from services.transcoder.plan.model import LoudnessByIndex
from services.transcoder.probe import probe
from services.transcoder.progress import FfmpegProgress, Meter
from services.transcoder.result import Result
from services.transcoder.sandbox import environment
from services.transcoder.tools import Tools

_log = structlog.stdlib.get_logger(__name__)

OnProgress = Callable[[Stage, Progress], None]

_ASIDE_TIMEOUT_S: Final = 30.0
_ASIDE_GRACE_S: Final = 2.0  # for the small picture, once the film is done
_MEASURING_SHARE: Final = 0.2  # of the time of a job, spent on loudness before the rest


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long ffmpeg may take.

    Attributes:
        stall_timeout_s: without any progress.
        timeout_s: of all runs of a job together.
    """

    stall_timeout_s: float = 120.0
    timeout_s: float = 6 * 3600.0


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

    def __init__(self, tools: Tools, able: Capabilities, bounds: Bounds = Bounds()) -> None:
        self._tools = tools
        self._able = able
        self._bounds = bounds

    async def __call__(
        self, source: Path, workdir: Path, output_format: str, options: Mapping[str, Any], on_progress: OnProgress
    ) -> Conversion:
        """Converts `source` to `output_format`; every file it makes lies in `workdir`.

        Raises:
            JobFailure: it can't be done, now (`transient`) or ever.
        """
        wishes = _wishes(options)
        on_progress(Stage.PROBING, Progress())
        info = await probe(source, self._tools)
        run = _Run(self._tools, self._able, self._bounds, source, workdir, info, wishes, output_format, on_progress)
        return await run.convert()

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
    plan = make_plan(info, output_format, options, able=able, loudness={})
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

    async def convert(self) -> Conversion:
        try:
            return await self._convert(self.able)
        except JobFailure as failure:
            if not self._may_lie_with_hardware(failure):
                raise
            _log.warning("hardware_encoder_failed", kind=self.able.hardware, code=failure.code, stderr=failure.detail)
            return await self._convert(replace(self.able, hardware=None))

    def _may_lie_with_hardware(self, failure: JobFailure) -> bool:
        if self.able.hardware is None or failure.code in (ErrorCode.INVALID_OPTIONS, ErrorCode.NO_VIDEO):
            return False
        return self._plan(self.able, {}).hardware

    async def _convert(self, able: Capabilities) -> Conversion:
        self.on_progress(Stage.TRANSCODING, Progress())
        plan = self._plan(able, None)
        if plan.measures:
            result = await self._run_passes(plan)
            plan = self._plan(able, parse_loudness(result.stderr, plan.measures))
        _log.info("plan_made", streams=[stream.model_dump() for stream in plan.summary.streams])
        result = await self._run_passes(plan) if plan.aside is None else await self._run_beside(plan, plan.aside)
        return await self._verified(plan, result)

    def _plan(self, able: Capabilities, loudness: LoudnessByIndex | None) -> TranscodePlan:
        name = self.source.name if self.source.parent == self.workdir else str(self.source)
        return make_plan(self.info, self.output_format, self.options, able=able, source=name, loudness=loudness)

    async def _run_passes(self, plan: TranscodePlan) -> Result:
        """Runs all passes; the result is the last one's."""
        meter = Meter(
            durations_s=[one.duration_s for one in plan.passes],
            weights=[one.weight for one in plan.passes],
            started_at=time.monotonic(),
            first=0.0 if not self.options.sound.normalize or plan.measures else _MEASURING_SHARE,
            last=_MEASURING_SHARE if plan.measures else 1.0,
        )
        result = Result(returncode=0)
        for one in plan.passes:
            result = await self._run_pass(one, meter, hardware=plan.hardware)
            meter.next_pass()
        return result

    async def _run_pass(self, one: Pass, meter: Meter, *, hardware: bool) -> Result:
        result = await self._run_ffmpeg(
            one,
            on_progress=lambda block: self.on_progress(Stage.TRANSCODING, meter.update(block, time.monotonic())),
            hardware=hardware,
            timeout_s=max(0.0, meter.started_at + self.bounds.timeout_s - time.monotonic()),
        )
        if not result.succeeded:
            raise diagnose.failure(result)
        if result.last.out_time_s and result.elapsed_s > 0:
            metrics.ENCODE_SPEED.observe({}, result.last.out_time_s / result.elapsed_s)
        return result

    async def _run_beside(self, plan: TranscodePlan, aside: Pass) -> Result:
        """Runs all passes, and `aside` at the same time."""
        outcome: Result | JobFailure | OSError
        async with anyio.create_task_group() as group:
            group.start_soon(self._run_aside, aside)
            try:
                outcome = await self._run_passes(plan)
            except (JobFailure, OSError) as failure:  # kept out of the group, which would wrap it
                outcome = failure
                group.cancel_scope.cancel()
            group.cancel_scope.deadline = anyio.current_time() + _ASIDE_GRACE_S
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _run_aside(self, one: Pass) -> None:
        """A run without which the job is whole all the same."""
        try:
            await self._run_ffmpeg(one, timeout_s=_ASIDE_TIMEOUT_S)
        except OSError as error:
            _log.warning("ffmpeg_not_started", run=one.name, error=repr(error))

    async def _run_ffmpeg(
        self,
        one: Pass,
        *,
        timeout_s: float,
        on_progress: Callable[[FfmpegProgress], None] | None = None,
        hardware: bool = False,
    ) -> Result:
        command = self.tools.sandbox.wrap(
            [self.tools.ffmpeg, *one.argv[1:]],
            workdir=self.workdir,
            reads=[self.source],
            limits=self.tools.limits,
            devices=hardware,
        )
        _log.info("ffmpeg_started", run=one.name, argv=one.argv)
        with _counted():
            result = await ffmpeg.run(
                command,
                cwd=self.workdir,
                env=environment(self.workdir),
                on_progress=on_progress,
                stall_timeout_s=self.bounds.stall_timeout_s,
                timeout_s=timeout_s,
            )
        _log.info(
            "ffmpeg_ended",
            run=one.name,
            returncode=result.returncode,
            stopped=result.stopped,
            elapsed_s=round(result.elapsed_s, 3),
            damage=result.damage,
            stderr=result.stderr[-2000:],
        )
        return result

    async def _verified(self, plan: TranscodePlan, result: Result) -> Conversion:
        output = self.workdir / plan.output
        fmt = FORMATS[self.output_format]
        found = Found(result.last.out_time_s, result.last.frame)
        if diagnose.looks_short(plan.expected, found) and fmt.kind != "image":
            info = await probe(output, self.tools)
            found = Found(info.duration_s, info.video[0].frames if info.video else None)
        warnings = diagnose.written(result, plan.expected, found, size=_size(output))
        outputs = [LocalOutput(output, fmt.kind, fmt.content_type)]
        if plan.thumbnail is not None and _size(self.workdir / plan.thumbnail) > 0:
            outputs.append(LocalOutput(self.workdir / plan.thumbnail, "thumbnail", "image/jpeg"))
        return Conversion(tuple(outputs), plan.summary, (*plan.warnings, *warnings))


@contextmanager
def _counted() -> Iterator[None]:
    metrics.FFMPEG_RUNNING.inc({})
    try:
        yield
    finally:
        metrics.FFMPEG_RUNNING.dec({})


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0
