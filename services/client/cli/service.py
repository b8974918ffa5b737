"""The commands about the service: `formats`, `keys`, `dead-letters`, `check-db`."""

from typing import Annotated

import typer

from services.client.api import Client
from services.client.cli.params import Connection, Json, spread
from services.client.cli.running import Exit, emit, out, run, say
from services.client.cli.tables import format_table, letter_table
from services.client.cli.text import size_text
from services.client.errors import NotAllowedError

_KEYS = """Keys are made where the gateway runs, next to its database, and told once:

  python -m services.gateway.keys make TENANT --name "what it is for"
  python -m services.gateway.keys list
  python -m services.gateway.keys revoke KEY_ID

With Docker: docker exec api python -m services.gateway.keys list
Give one to cvc by $CVC_API_KEY, or as api_key or api_key_file in a profile."""
_CHECK_DB = """The gateway answers this; for a look at the tables run, where the gateway runs:

  docker exec api python /data/check_db.py"""


@spread
def formats(*, connection: Connection, as_json: Json = False) -> None:
    """List the output formats, with their codecs, and what the service accepts."""

    async def action(client: Client) -> None:
        there = await client.formats()
        if as_json:
            emit(there.model_dump(mode="json"))
            return
        out().print(format_table(there.formats))
        if there.limits.max_upload_size is not None:
            out().print(f"Files up to {size_text(there.limits.max_upload_size)} are accepted.")

    run(connection, action)


@spread
def keys(*, connection: Connection, as_json: Json = False) -> None:
    """Say whether the service asks for a key and takes yours, and how keys are made."""

    async def action(client: Client) -> Exit:
        needed, good = await _key_state(client)
        if as_json:
            emit({"needed": needed, "accepted": good})
            return Exit.OK if good else Exit.NOT_ALLOWED
        if not needed:
            say(f"{client.url} asks for no key.", "green")
        elif good:
            say(f"{client.url} takes your key.", "green")
        else:
            say(f"{client.url} asks for a key, and does not take {'yours' if client.has_key else 'none'}.", "red")
        out().print(_KEYS)
        return Exit.OK if good else Exit.NOT_ALLOWED

    run(connection, action)


async def _key_state(client: Client) -> tuple[bool, bool]:
    """Whether a key is needed, and whether what we have is good enough."""
    async with Client(client.url, patience_s=client.patience_s) as nobody:
        try:
            await nobody.allowed()
        except NotAllowedError:
            needed = True
        else:
            return False, True
    try:
        await client.allowed()
    except NotAllowedError:
        return needed, False
    return needed, True


@spread
def dead_letters(
    *,
    redrive: Annotated[list[int] | None, typer.Option(help="Give this one another try; may be repeated.")] = None,
    limit: Annotated[int, typer.Option("--limit", "-n", min=1, help="The newest so many.")] = 20,
    connection: Connection,
    as_json: Json = False,
) -> None:
    """List work that no transcoder could deal with, or put some of it back into the queue."""

    async def action(client: Client) -> None:
        if redrive:
            for letter_id in redrive:
                await client.redrive(letter_id)
                say(f"{letter_id}: queued again")
            return
        letters = []
        async for letter in client.dead_letters(page_size=min(limit, 100)):
            letters.append(letter)
            if len(letters) == limit:
                break
        if as_json:
            emit([letter.model_dump(mode="json") for letter in letters])
        elif letters:
            out().print(letter_table(letters))
        else:
            say("There are no dead letters.")

    run(connection, action)


@spread
def check_db(*, connection: Connection, as_json: Json = False) -> None:
    """Say how the service's database and its other parts are.  Exits with 1 if something is wrong."""

    async def action(client: Client) -> Exit:
        checks = await client.ready()
        bad = {name: state for name, state in checks.items() if state != "ok"}
        if as_json:
            emit(checks)
        else:
            for name, state in checks.items():
                say(f"{name}: {state}", "green" if state == "ok" else "red")
            out().print(_CHECK_DB)
        return Exit.FAILED if bad else Exit.OK

    run(connection, action)
