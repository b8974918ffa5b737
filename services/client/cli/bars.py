"""Progress bars: one line a file, through upload, waiting, conversion and download."""

from typing import Final

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TaskProgressColumn
from rich.table import Column
from rich.text import Text

from services.client.cli.text import shown, size_text, time_text
from services.client.models import Job
from services.common.jobs import Status

_PHASE_WIDTH: Final = 12


def phase_of(job: Job) -> str:
    """What a job is doing, in a word."""
    return str(job.stage or "processing") if job.status is Status.PROCESSING else job.status.value.lower()


def detail_of(job: Job) -> str:
    """How fast a job is, and for how much longer it will be: `1.9x, 31 s left`."""
    speed, eta_s = job.progress.speed, job.progress.eta_s
    told = [f"{speed:.2g}x" if speed < 10 else f"{speed:.0f}x"] if speed else []  # noqa: PLR2004 -- two digits
    told += [f"{time_text(eta_s)} left"] if eta_s is not None else []
    return ", ".join(told)


class _NameColumn(ProgressColumn):
    def __init__(self, width: int) -> None:
        super().__init__()
        self._width = width

    def render(self, task: Task) -> Text:
        return Text(shown(task.description, self._width))


class _PhaseColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        return Text(str(task.fields["phase"]).ljust(_PHASE_WIDTH), style=task.fields["style"])


class _DetailColumn(ProgressColumn):
    def render(self, task: Task) -> Text:
        if not task.fields["bytes"]:
            return Text(task.fields["detail"])
        told = [size_text(task.total or task.completed)]
        told += [f"{size_text(task.speed)}/s"] if task.speed else []
        told += [f"{time_text(task.time_remaining)} left"] if task.time_remaining else []
        return Text(", ".join(told))


class Bar:
    """The line of one file."""

    def __init__(self, progress: Progress, name: str) -> None:
        self._progress = progress
        self._task: TaskID = progress.add_task(name, total=100.0, phase="waiting", style="", detail="", bytes=False)
        self._kind = ""

    def transfer(self, phase: str, done: int, total: int | None) -> None:
        """So many bytes of an upload or a download are done."""
        self._anew(phase, phase, total, done, is_bytes=True)
        self._progress.update(self._task, completed=done, total=total)

    def job(self, job: Job) -> None:
        """This is how the conversion stands."""
        percent = job.progress.percent
        # Without a known end the bar moves to and fro.
        total = None if percent is None and job.status is Status.PROCESSING else 100.0
        phase, detail = phase_of(job), detail_of(job)
        self._anew("job", phase, total, percent or 0.0, is_bytes=False)
        self._progress.update(self._task, completed=percent or 0.0, total=total, phase=phase, detail=detail)

    def finished(self, detail: str) -> None:
        """All is well."""
        self._progress.update(
            self._task, total=100.0, completed=100.0, phase="done", style="green", detail=detail, bytes=False
        )
        self._progress.stop_task(self._task)

    def failed(self, detail: str = "") -> None:
        """It isn't.  The bar stays where it was."""
        self._progress.update(self._task, phase="failed", style="red", detail=detail, bytes=False)
        self._progress.stop_task(self._task)

    def _anew(self, kind: str, phase: str, total: float | None, completed: float, *, is_bytes: bool) -> None:
        """Begin to measure speed and time left anew when something else is measured."""
        if self._kind != kind:
            self._kind = kind
            done = int(completed)
            self._progress.reset(
                self._task, total=total, completed=done, phase=phase, style="", detail="", bytes=is_bytes
            )


def progress_for(console: Console) -> Progress:
    """Where the bars live; a context manager."""
    columns = (
        _NameColumn(max(12, min(32, console.width // 4))),
        _PhaseColumn(),
        BarColumn(
            bar_width=None, complete_style="cyan", finished_style="green", table_column=Column(ratio=1, min_width=4)
        ),
        TaskProgressColumn(),
        _DetailColumn(Column(no_wrap=True)),
    )
    return Progress(*columns, console=console, refresh_per_second=10, expand=True)
