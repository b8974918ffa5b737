"""Jobs, formats, plans and dead letters as tables."""

from collections.abc import Iterable, Sequence

from rich.table import Table
from rich.text import Text

from services.client.cli.bars import detail_of, phase_of
from services.client.cli.text import age_text, shown, size_text, time_text
from services.client.models import DeadLetter, Format, Job, Plan
from services.common.jobs import Status

_COLOURS = {
    Status.QUEUED: "yellow",
    Status.PROCESSING: "cyan",
    Status.COMPLETED: "green",
    Status.FAILED: "red",
    Status.CANCELLED: "dim",
}
_NAME_WIDTH = 40


def _plain(*headings: str) -> Table:
    table = Table(box=None, pad_edge=False, header_style="bold")
    for n, heading in enumerate(headings):
        table.add_column(heading, overflow="fold", no_wrap=n == 0)  # what is copied from it stays in one piece
    return table


def job_table(jobs: Iterable[Job]) -> Table:
    """A line a job."""
    table = _plain("JOB", "FILE", "TO", "STATUS", "", "AGE")
    for job in jobs:
        name = shown(job.filename or job.input_path, _NAME_WIDTH)
        status = Text(phase_of(job), style=_COLOURS[job.status])
        table.add_row(job.job_id, Text(name), job.output_format, status, Text(_progress(job)), age_text(job.created_at))
    return table


def _progress(job: Job) -> str:
    if job.error:
        return job.error.message
    if job.status is Status.COMPLETED:
        return size_text(job.outputs[0].size) if job.outputs else ""
    percent = job.progress.percent
    told = [f"{percent:.0f} %"] if percent is not None and job.status is Status.PROCESSING else []
    return ", ".join([*told, *([detail_of(job)] if detail_of(job) else [])])


def job_sheet(job: Job) -> Table:
    """All that there is to know of one job."""
    table = Table(box=None, pad_edge=False, show_header=False)
    table.add_column(style="bold")
    table.add_column(overflow="fold")
    took = (job.finished_at - job.started_at).total_seconds() if job.finished_at and job.started_at else None
    rows: dict[str, str | Text] = {
        "Job": job.job_id,
        "File": shown(job.filename or ""),
        "Input": job.input_path,
        "Output": job.output_path,
        "Options": ", ".join(f"{name}={value}" for name, value in job.options.items()),
        "Status": Text(phase_of(job), style=_COLOURS[job.status]),
        "Progress": _progress(job) if job.error is None else "",
        "Error": Text(f"{job.error.message} ({job.error.code})", style="red") if job.error else "",
        "Attempt": str(job.attempt),
        "Created": f"{job.created_at:%Y-%m-%d %H:%M:%S} UTC",
        "Took": time_text(took),
    }
    for name, value in rows.items():
        if value:
            table.add_row(name, value if isinstance(value, Text) else Text(value))
    for warning in job.warnings:
        table.add_row("Warning", Text(warning.message, style="yellow"))
    for output in job.outputs:
        table.add_row("Made", Text(f"{output.kind}: {output.path}, {output.content_type}, {size_text(output.size)}"))
    return table


def format_table(formats: Sequence[Format]) -> Table:
    """A line a format."""
    table = _plain("FORMAT", "KIND", "VIDEO", "AUDIO", "")
    for fmt in formats:
        codecs = (", ".join(fmt.video_codecs), ", ".join(fmt.audio_codecs))
        table.add_row(fmt.name, fmt.kind, *codecs, fmt.note)
    return table


def plan_table(plan: Plan) -> Table:
    """A line a stream."""
    table = _plain("STREAM", "TYPE", "WAS", "IS TO BE", "WHY")
    for stream in plan.streams:
        fate = {"copy": "copied", "drop": "dropped"}.get(stream.action, stream.target or "encoded")
        table.add_row(str(stream.stream), stream.type, stream.codec or "", fate, Text(stream.reason))
    for note in plan.notes:
        table.add_row("", "", "", "", Text(note))
    return table


def letter_table(letters: Iterable[DeadLetter]) -> Table:
    """A line a dead letter."""
    table = _plain("ID", "JOB", "REASON", "AGE", "STATE", "")
    for letter in letters:
        state = "redriven" if letter.redriven_at else "dead"
        message = str((letter.model_extra or {}).get("message", ""))
        table.add_row(
            str(letter.id), letter.job_id or "?", letter.reason, age_text(letter.created_at), state, Text(message)
        )
    return table
