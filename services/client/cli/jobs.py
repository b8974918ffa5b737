"""The commands for jobs that are there: `jobs`, `watch`, `cancel`, `retry`, `delete`, `download`."""

from collections.abc import Awaitable, Callable, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from services.client.api import Client
from services.client.cli.bars import Bar, progress_for
from services.client.cli.inputs import InputError
from services.client.cli.params import Connection, Ids, Json, spread
from services.client.cli.running import Exit, emit, err, out, run, say
from services.client.cli.tables import job_sheet, job_table
from services.client.cli.text import shown, size_text
from services.client.errors import ApiError, JobFailedError
from services.client.models import Job
from services.client.push.watch import Event
from services.common.jobs import Status


@spread
def jobs(
    *,
    ids: Annotated[list[str] | None, typer.Argument(help="Show all there is to know of these.", metavar="JOB")] = None,
    connection: Connection,
    status: Annotated[Status | None, typer.Option(help="Only those in this state.", case_sensitive=False)] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The newest so many.")] = 20,
    everything: Annotated[bool, typer.Option("--all", "-a", help="As many as there are.")] = False,
    as_json: Json = False,
) -> None:
    """List your jobs, newest first, or show some of them in full."""

    async def action(client: Client) -> None:
        if ids:
            found = [await client.get(job_id) for job_id in ids]
        else:
            found = await _newest(client, status, None if everything else limit)
        if as_json:
            emit([job.model_dump(mode="json") for job in found])
        elif ids:
            for job in found:
                out().print(job_sheet(job))
        elif found:
            out().print(job_table(found))
        else:
            say("There are no jobs.")

    run(connection, action)


async def _newest(client: Client, status: Status | None, limit: int | None) -> list[Job]:
    found: list[Job] = []
    async for job in client.list(status=status, page_size=min(limit or 100, 100)):
        found.append(job)
        if len(found) == limit:
            break
    return found


@spread
def watch(
    *,
    ids: Annotated[list[str] | None, typer.Argument(help="Default: those that have not ended.", metavar="JOB")] = None,
    connection: Connection,
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="All of them and those to come, until Ctrl-C.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Watch jobs live until they have ended.  Exits with 1 if one of them failed."""

    async def action(client: Client) -> Exit:
        wanted: Sequence[str] | str = "*" if follow else ids or await _running(client)
        if not wanted:
            say("No job is running.")
            return Exit.OK
        ended: dict[str, Status] = {}
        patience_s = connection.patience
        with nullcontext() if as_json else progress_for(err()) as progress:
            bars: dict[str, Bar] = {}
            async with client.watch(wanted, give_up_after_s=patience_s) as events:
                async for event in events:
                    ended[event.job.job_id] = event.job.status
                    if progress is None:
                        emit(_event_fields(event))
                    elif event.job.job_id in bars or not (follow and event.type == "snapshot" and event.job.done):
                        name = event.job.filename or event.job.job_id
                        _show(bars.setdefault(event.job.job_id, Bar(progress, name)), event.job)
        bad = [job_id for job_id, status in ended.items() if status is not Status.COMPLETED]
        return Exit.FAILED if bad else Exit.OK

    run(connection, action)


async def _running(client: Client) -> list[str]:
    return [job.job_id for status in (Status.QUEUED, Status.PROCESSING) async for job in client.list(status=status)]


def _event_fields(event: Event) -> dict[str, Any]:
    return {"type": event.type, "cursor": event.cursor, "job": event.job.model_dump(mode="json")}


def _show(bar: Bar, job: Job) -> None:
    if job.status is Status.COMPLETED:
        bar.finished(size_text(job.outputs[0].size) if job.outputs else "")
    elif job.done:
        bar.failed(job.error.message if job.error else "cancelled")
    else:
        bar.job(job)


def _each(
    ids: Sequence[str],
    connection: Connection,
    do: Callable[[Client, str], Awaitable[Job | None]],
    done: str,
    *,
    as_json: bool,
) -> None:
    """Do something to each job; one that refuses does not stop the others."""

    async def action(client: Client) -> Exit:
        refused = False
        for job_id in ids:
            try:
                job = await do(client, job_id)
            except ApiError as error:
                refused = True
                if as_json:
                    emit({"job_id": job_id, "error": str(error), "status": error.status})
                else:
                    say(f"{shown(job_id)}: {error}", "red")
                continue
            if as_json:
                emit(job.model_dump(mode="json") if job else {"job_id": job_id})
            else:
                say(f"{job_id}: {done}")
        return Exit.FAILED if refused else Exit.OK

    run(connection, action)


@spread
def cancel(*, ids: Ids, connection: Connection, as_json: Json = False) -> None:
    """Stop jobs that have not ended."""
    _each(ids, connection, Client.cancel, "cancelled", as_json=as_json)


@spread
def retry(*, ids: Ids, connection: Connection, as_json: Json = False) -> None:
    """Run jobs again that failed or were cancelled."""
    _each(ids, connection, Client.retry, "queued again", as_json=as_json)


@spread
def delete(
    *,
    ids: Ids,
    connection: Connection,
    force: Annotated[bool, typer.Option("--force", "-f", help="Cancel those first that have not ended.")] = False,
    as_json: Json = False,
) -> None:
    """Remove jobs and their files from the service."""

    async def do(client: Client, job_id: str) -> None:
        if force and not (await client.get(job_id)).done:
            await client.cancel(job_id)
        await client.delete(job_id)

    _each(ids, connection, do, "deleted", as_json=as_json)


@spread
def download(
    *,
    ids: Ids,
    connection: Connection,
    output: Annotated[
        str | None, typer.Option("--output", "-o", help="A file, or a directory.  Default: here.")
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files that exist.")] = False,
    kind: Annotated[str | None, typer.Option(help="Which output, such as thumbnail.  Default: the main one.")] = None,
    as_json: Json = False,
) -> None:
    """Fetch the results of jobs, under the names of what was uploaded.

    Waits for jobs that have not ended, and goes on with a download that was cut off.
    """
    place = Path(output or ".")
    is_directory = len(ids) > 1 or (output or "").endswith("/") or place.is_dir()

    async def action(client: Client) -> None:
        with nullcontext() if as_json else progress_for(err()) as progress:
            for job_id in ids:
                bar = Bar(progress, job_id) if progress else None
                await _ended_well(client, job_id, bar)
                target = place / Path((await client.locate(job_id, kind=kind)).filename).name if is_directory else place
                if target.exists() and not overwrite:
                    raise InputError(f"{target} exists already; --overwrite replaces it.")
                target.parent.mkdir(parents=True, exist_ok=True)
                info = await client.download(job_id, target, kind=kind, on_progress=_transfer(bar))
                if bar:
                    bar.finished(f"{target}, {size_text(info.size)}")
                else:
                    emit({"job_id": job_id, "output": str(target), "size": info.size})

    run(connection, action)


async def _ended_well(client: Client, job_id: str, bar: Bar | None) -> None:
    async with client.watch([job_id], give_up_after_s=client.patience_s) as events:
        async for event in events:
            if bar:
                bar.job(event.job)
            if event.job.done and event.job.status is not Status.COMPLETED:
                raise JobFailedError(event.job)


def _transfer(bar: Bar | None) -> Callable[[int, int | None], None] | None:
    return (lambda done, total: bar.transfer("downloading", done, total)) if bar else None
