"""`cvc convert` and `cvc plan`."""

import os
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from services.client.api import Client
from services.client.cli.conversion import Order, convert_all
from services.client.cli.inputs import STDIO, InputError, Item, expand, plan_items, unfetched
from services.client.cli.params import Connection, Json, Wishes, spread
from services.client.cli.reports import BarReporter, JsonReporter, LineReporter, Reporter
from services.client.cli.resumes import state_directory
from services.client.cli.running import Exit, emit, err, out, run
from services.client.cli.tables import plan_table
from services.client.cli.text import size_text, time_text
from services.client.cli.wishes import WishError, options_of, refuse_the_impossible
from services.client.models import Format, Formats

Files = Annotated[
    list[str],
    typer.Argument(help="Files or patterns; - for stdin.", metavar="FILE", show_default=False),
]


@spread
def convert(
    *,
    files: Files,
    wishes: Wishes,
    connection: Connection,
    output: Annotated[
        str | None,
        typer.Option("--output", "-o", help="A file, a directory, or - for stdout.  Default: beside each input."),
    ] = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", "-f", help="Replace files that exist.")] = False,
    name: Annotated[str | None, typer.Option(help="What stdin is called.")] = None,
    parallel: Annotated[int, typer.Option("--parallel", "-j", min=1, max=16, help="Files to send at once.")] = 3,
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Submit, print the job ids, and leave.")] = False,
    delete: Annotated[bool, typer.Option("--delete", help="Remove each job when its result is here.")] = False,
    as_json: Json = False,
) -> None:
    """Convert files: send them, watch their progress, fetch the results.

    Exits with 1 if a file could not be converted, and says why.  Ctrl-C cancels the jobs it made.  An upload that was
    cut off goes on where it was when the same command is given again.
    """

    async def action(client: Client) -> Exit:
        options = options_of(wishes)
        refuse_the_impossible(wishes.to, options)
        formats = await client.formats()
        wanted = format_named(formats, wishes.to)
        sources = expand(files)
        if detach:
            items = unfetched(sources, name=name)
        else:
            items = plan_items(sources, output, wanted.extension or wanted.name, name=name, overwrite=overwrite)
            _refuse_stdout(items, as_json=as_json)
        _refuse_unusable(items, formats.limits.max_upload_size)
        order = Order(
            output_format=wanted.name,
            options=options,
            parallel=parallel,
            patience_s=connection.patience,
            detach=detach,
            remove=delete,
            resumes=state_directory(os.environ),
        )
        if detach:
            return await _detached(client, items, order, as_json=as_json)
        return await convert_all(client, items, order, _reporter(as_json=as_json))

    run(connection, action)


@spread
def plan(
    *,
    file: Annotated[str, typer.Argument(help="A file, or the input_path of one that was uploaded.", metavar="FILE")],
    wishes: Wishes,
    connection: Connection,
    as_json: Json = False,
) -> None:
    """Say what a conversion would do to a file, and how long it would take, without converting it."""

    async def action(client: Client) -> None:
        options = options_of(wishes)
        refuse_the_impossible(wishes.to, options)
        path = _local(file)
        input_path = (await client.upload(path)).input_path if path else file
        answer = await client.plan(input_path, wishes.to, options=options)
        if as_json:
            emit({"input_path": input_path, **answer.model_dump(mode="json")})
            return
        out().print(plan_table(answer.plan))
        told = {"size": size_text(answer.estimated_size), "time": time_text(answer.estimated_s)}
        for what, value in told.items():
            if value:
                out().print(f"Estimated {what}: {value}")
        for warning in answer.warnings:
            out().print(f"Note: {warning.message}", markup=False)

    run(connection, action)


def _local(file: str) -> Path | None:
    """The file called that; None for the name of an upload."""
    if file.startswith("uploads/") and not os.path.lexists(file):
        return None
    found = expand([file])
    if len(found) != 1 or found[0] is None:
        raise InputError("A plan is made of one file.")
    return found[0]


def format_named(formats: Formats, name: str) -> Format:
    """The format called `name`; WishError if the service has none."""
    if (wanted := formats.find(name)) is None:
        raise WishError(f"--to {name}: choose one of {', '.join(fmt.name for fmt in formats.formats)}.")
    return wanted


def _refuse_stdout(items: Sequence[Item], *, as_json: bool) -> None:
    if any(item.target is None for item in items):
        if as_json:
            raise InputError("--json and the result can't both go to stdout; choose a file with -o.")
        if sys.stdout.isatty():
            raise InputError("A terminal is no place for a video; choose a file with -o.")


def _refuse_unusable(items: Sequence[Item], limit: int | None) -> None:
    for item in items:
        if item.source is None and sys.stdin.isatty():
            raise InputError(f"{STDIO} reads from stdin, and that is a terminal.")
        size = item.source.stat().st_size if item.source and item.source.is_file() else 0
        if limit is not None and size > limit:
            raise InputError(f"{item.source} has {size_text(size)}; the service takes files up to {size_text(limit)}.")


def _reporter(*, as_json: bool) -> Reporter:
    if as_json:
        return JsonReporter(emit)
    console = err()
    return BarReporter(console) if console.is_terminal else LineReporter(console)


async def _detached(client: Client, items: Sequence[Item], order: Order, *, as_json: bool) -> Exit:
    """Submit all, and print an id a line."""
    reporter = JsonReporter(partial(_ids_only, as_json=as_json))
    return await convert_all(client, items, order, reporter)


def _ids_only(told: dict[str, object], *, as_json: bool) -> None:
    if as_json:
        emit(told)
    elif told["event"] == "job":
        job = told["job"]
        assert isinstance(job, dict)
        out().print(job["job_id"])
    elif told["event"] == "failed":
        err().print(f"{told['file']}: {told['message']}", style="red", markup=False)
