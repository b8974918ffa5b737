"""The commands of `cvc`, put together."""

import os
from typing import Annotated

import typer

from services.client.base import user_agent
from services.client.cli import convert, jobs, service
from services.client.cli.params import given

app = typer.Typer(
    name="cvc",
    no_args_is_help=True,
    context_settings={"help_option_names": ["-h", "--help"]},
    pretty_exceptions_enable=False,
    rich_markup_mode="markdown",
)


def _tell_version(wanted: bool) -> None:  # noqa: FBT001 -- a callback of Typer's
    if wanted:
        typer.echo(user_agent().replace("/", " "))
        raise typer.Exit


@app.callback()
def common(
    *,
    url: Annotated[str | None, typer.Option(help="The service, for the command that follows.")] = None,
    profile: Annotated[str | None, typer.Option(help="A profile, for the command that follows.")] = None,
    version: Annotated[  # noqa: ARG001 -- its callback does it
        bool, typer.Option("--version", help="Tell the version and leave.", callback=_tell_version, is_eager=True)
    ] = False,
) -> None:
    """Convert videos with a Cloud Video Conversion service.

    The service is taken from --url, $CVC_URL, or a profile in ~/.config/cvc/config.toml ($CVC_CONFIG); a key from
    $CVC_API_KEY or the profile.

    Exit status: 0 all went well, 1 a job failed or was refused, 2 the command asks for what can't be, 3 the service
    can't be reached, 4 the key is not good, 130 interrupted.
    """
    os.environ.update(given({"CVC_URL": url, "CVC_PROFILE": profile}))


app.command()(convert.convert)
app.command()(jobs.jobs)
app.command()(jobs.watch)
app.command()(jobs.download)
app.command()(jobs.cancel)
app.command()(jobs.retry)
app.command()(jobs.delete)
app.command()(service.formats)
app.command()(convert.plan)
app.command()(service.keys)
app.command("dead-letters")(service.dead_letters)
app.command("check-db")(service.check_db)
