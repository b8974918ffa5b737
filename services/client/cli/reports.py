"""How the course of conversions is told: as bars to a terminal, as lines to a log, as JSON to a program."""

import threading
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import TracebackType
from typing import Any, Final, Protocol, Self

from rich.console import Console
from rich.text import Text

from services.client.cli.bars import Bar, detail_of, phase_of, progress_for
from services.client.cli.text import shown
from services.client.models import Job
from services.client.push.feed import WatchState

_STEP: Final = 25  # percent, from line to line


class Report(Protocol):
    """The course of one conversion."""

    def transfer(self, phase: str, done: int, total: int | None) -> None:
        """Bytes of an upload or a download."""

    def job(self, job: Job) -> None:
        """How the job stands."""

    def finished(self, where: str, detail: str, job: Job) -> None:
        """The result is at `where`."""

    def failed(self, reason: str, job: Job | None) -> None:
        """There is none."""


class Reporter(AbstractContextManager["Reporter"], Protocol):
    """Makes reports."""

    def begin(self, name: str) -> Report:
        """The report of another file."""

    def feed(self, state: WatchState) -> None:
        """The push channel has come up, or is lost."""


class BarReporter(AbstractContextManager["BarReporter"]):
    """One live line a file."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._progress = progress_for(console)
        self._notes: list[tuple[str, str]] = []  # what there is no room for in a line, and its style
        self._was_lost = False

    def __enter__(self) -> Self:
        """Show the bars."""
        self._progress.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Leave them as they are, and tell the reasons of failures in full."""
        self._progress.stop()
        for text, style in self._notes:
            self._console.print(Text(text, style=style), soft_wrap=True)

    def begin(self, name: str) -> "_BarReport":
        """See `Reporter`."""
        bar = Bar(self._progress, name)
        return _BarReport(bar, lambda text, style: self._notes.append((f"{shown(name)}: {text}", style)))

    def feed(self, state: WatchState) -> None:
        """See `Reporter`."""
        if state.transport is None and not self._was_lost:
            self._progress.console.print(f"The live feed is lost ({state.reason}); looking for another way …")
        self._was_lost = state.transport is None


class _BarReport:
    def __init__(self, bar: Bar, note: Callable[[str, str], None]) -> None:
        self._bar = bar
        self._note = note
        self.transfer = bar.transfer
        self.job = bar.job

    def finished(self, where: str, detail: str, job: Job) -> None:
        self._bar.finished(", ".join(part for part in (where, detail) if part))
        for warning in job.warnings:
            self._note(warning.message, "yellow")

    def failed(self, reason: str, job: Job | None) -> None:  # noqa: ARG002 -- see `Report`
        self._bar.failed()
        self._note(reason, "red")


class LineReporter(AbstractContextManager["LineReporter"]):
    """A line whenever something has changed."""

    def __init__(self, console: Console) -> None:
        self._console = console

    def __exit__(self, *_: object) -> None:
        """There is nothing to put away."""

    def begin(self, name: str) -> "_LineReport":
        """See `Reporter`."""
        return _LineReport(lambda text: self._console.print(Text(f"{shown(name)}: {text}"), soft_wrap=True))

    def feed(self, state: WatchState) -> None:
        """See `Reporter`: of no interest to a log."""


class _LineReport:
    def __init__(self, write: Callable[[str], None]) -> None:
        self._write = write
        self._last: tuple[str, int] = ("", 0)
        self._lock = threading.Lock()

    def transfer(self, phase: str, done: int, total: int | None) -> None:
        self._step(phase, 100 * done / total if total else None, "")

    def job(self, job: Job) -> None:
        self._step(phase_of(job), job.progress.percent, detail_of(job))

    def finished(self, where: str, detail: str, job: Job) -> None:
        for warning in job.warnings:
            self._write(f"note: {warning.message}")
        self._write(f"done, {where}" + (f" ({detail})" if detail else ""))

    def failed(self, reason: str, job: Job | None) -> None:  # noqa: ARG002 -- see `Report`
        self._write(f"failed: {reason}")

    def _step(self, phase: str, percent: float | None, detail: str) -> None:
        step = int((percent or 0.0) // _STEP) * _STEP
        if (phase, step) != self._last:
            self._last = (phase, step)
            told = [phase, *([f"{step} %"] if step else []), *([f"({detail})"] if detail else [])]
            self._write(" ".join(told))


class JsonReporter(AbstractContextManager["JsonReporter"]):
    """An object a line: `{"event": "job"|"done"|"failed", "file": …}`."""

    def __init__(self, emit: Callable[[Any], None]) -> None:
        self._emit = emit

    def __exit__(self, *_: object) -> None:
        """There is nothing to put away."""

    def begin(self, name: str) -> "_JsonReport":
        """See `Reporter`."""
        return _JsonReport(name, self._emit)

    def feed(self, state: WatchState) -> None:
        """See `Reporter`: of no interest to a program."""


class _JsonReport:
    def __init__(self, name: str, emit: Callable[[Any], None]) -> None:
        self._name = name
        self._emit = emit

    def transfer(self, phase: str, done: int, total: int | None) -> None:
        if done == total:
            self._emit({"event": phase, "file": self._name, "bytes": done})

    def job(self, job: Job) -> None:
        self._emit({"event": "job", "file": self._name, "job": job.model_dump(mode="json")})

    def finished(self, where: str, detail: str, job: Job) -> None:  # noqa: ARG002 -- see `Report`
        self._emit({"event": "done", "file": self._name, "output": where, "job": job.model_dump(mode="json")})

    def failed(self, reason: str, job: Job | None) -> None:
        code = job.error.code if job and job.error else None
        told = {"job_id": job.job_id if job else None, "code": code, "message": reason}
        self._emit({"event": "failed", "file": self._name, **told})
