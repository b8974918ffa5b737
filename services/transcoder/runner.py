"""Runs the passes of a plan with this machine's tools, and turns their progress into the job's."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import anyio
import structlog

from services.common import metrics
from services.common.errors import JobFailure
from services.common.jobs import Progress
from services.transcoder import diagnose, ffmpeg
from services.transcoder.plan import Pass, TranscodePlan
from services.transcoder.progress import FfmpegProgress, Meter
from services.transcoder.result import Result
from services.transcoder.sandbox import environment
from services.transcoder.sharing import Sharing
from services.transcoder.tools import Tools

_log = structlog.stdlib.get_logger(__name__)

_ASIDE_TIMEOUT_S: Final = 30.0
_ASIDE_GRACE_S: Final = 2.0  # for the small picture, once the film is done
_LOGGED_STDERR: Final = 2000
_MEASURING_SHARE: Final = 0.2  # of the time of a job, spent on loudness before the rest


@dataclass(frozen=True, slots=True)
class Bounds:
    """How long ffmpeg may take.

    Attributes:
        stall_timeout_s: without any progress.
        timeout_s: of all runs of a plan together.
    """

    stall_timeout_s: float = 120.0
    timeout_s: float = 6 * 3600.0


@dataclass(frozen=True, slots=True)
class Runner:
    """Runs plans that read `source` and write into `workdir`."""

    tools: Tools
    bounds: Bounds
    source: Path
    workdir: Path
    on_progress: Callable[[Progress], None]
    sharing: Sharing

    async def run(
        self, plan: TranscodePlan, *, measured: bool = False, on_written: Callable[[], None] = lambda: None
    ) -> Result:
        """Runs all passes of `plan`, and what belongs beside them; the result is the last pass's.

        Args:
            plan: what to run.
            measured: True if another plan has measured loudness before this one.
            on_written: called when the last pass has written its last byte, if ffmpeg says so, and not ended yet.

        Raises:
            JobFailure: a pass failed.
            OSError: ffmpeg could not be started.
        """
        meter = Meter(
            durations_s=[one.duration_s for one in plan.passes],
            weights=[one.weight for one in plan.passes],
            started_at=time.monotonic(),
            first=_MEASURING_SHARE if measured else 0.0,
            last=_MEASURING_SHARE if plan.measures else 1.0,
        )
        if plan.aside is None:
            return await self._passes(plan, meter, on_written)
        outcome: Result | JobFailure | OSError
        async with anyio.create_task_group() as group:
            group.start_soon(self._aside, plan.aside)
            try:
                outcome = await self._passes(plan, meter, on_written)
            except (JobFailure, OSError) as failure:  # kept out of the group, which would wrap it
                outcome = failure
                group.cancel_scope.cancel()
            group.cancel_scope.deadline = anyio.current_time() + _ASIDE_GRACE_S
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def _passes(self, plan: TranscodePlan, meter: Meter, on_written: Callable[[], None]) -> Result:
        result = Result(returncode=0)
        for one in plan.passes:
            result = await self._ffmpeg(
                one,
                on_progress=partial(self._note, meter, on_written if one is plan.passes[-1] else None),
                hardware=plan.hardware,
                shared=plan.laborious and one.name != "measure",
                timeout_s=max(0.0, meter.started_at + self.bounds.timeout_s - time.monotonic()),
            )
            if not result.succeeded:
                raise diagnose.failure(result)
            if result.last.out_time_s and result.elapsed_s > 0:
                metrics.ENCODE_SPEED.observe({}, result.last.out_time_s / result.elapsed_s)
            self.on_progress(meter.next_pass(result.last, time.monotonic()))
        return result

    def _note(self, meter: Meter, on_end: Callable[[], None] | None, block: FfmpegProgress) -> None:
        self.on_progress(meter.update(block, time.monotonic()))
        if block.ended and on_end is not None:
            on_end()

    async def _aside(self, one: Pass) -> None:
        """A run without which the job is whole all the same."""
        try:
            await self._ffmpeg(one, timeout_s=_ASIDE_TIMEOUT_S)
        except OSError as error:
            _log.warning("ffmpeg_not_started", run=one.name, error=repr(error))

    async def _ffmpeg(
        self,
        one: Pass,
        *,
        timeout_s: float,
        on_progress: Callable[[FfmpegProgress], None] | None = None,
        hardware: bool = False,
        shared: bool = False,
    ) -> Result:
        command = self.tools.sandbox.wrap(
            [self.tools.ffmpeg, *one.argv[1:]],
            workdir=self.workdir,
            reads=[self.source],
            limits=self.tools.limits,
            devices=hardware,
        )
        _log.info("ffmpeg_started", run=one.name, argv=one.argv)
        with _counted(), self.sharing.encode() as encode:

            def note(block: FfmpegProgress) -> None:
                if block.ended:
                    encode.over()
                if on_progress is not None:
                    on_progress(block)

            result = await ffmpeg.run(
                command,
                cwd=self.workdir,
                env=environment(self.workdir),
                on_started=encode.began if shared else None,
                on_progress=note,
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
            stderr=result.stderr[-_LOGGED_STDERR:],
        )
        return result


@contextmanager
def _counted() -> Iterator[None]:
    metrics.FFMPEG_RUNNING.inc({})
    try:
        yield
    finally:
        metrics.FFMPEG_RUNNING.dec({})
