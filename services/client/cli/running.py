"""From a command to its exit status: opens the client, tells errors in words, and gives way to signals."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from contextlib import suppress
from enum import IntEnum
from typing import Any, Final

import orjson
import typer
from rich.console import Console
from rich.text import Text

from services.client.api import Client
from services.client.cli.inputs import InputError
from services.client.cli.params import Connection
from services.client.cli.profile import ProfileError, resolve
from services.client.cli.wishes import WishError
from services.client.errors import ApiError, ClientError, NotAllowedError, UnreachableError


class Exit(IntEnum):
    """What the command line ends with."""

    OK = 0
    FAILED = 1  # a job failed, or the service refused
    USAGE = 2  # asked for what can't be, before anything was done
    UNREACHABLE = 3
    NOT_ALLOWED = 4
    INTERRUPTED = 130
    TERMINATED = 143


_WIDE: Final = 250

Action = Callable[[Client], Awaitable[Exit | None]]


def out() -> Console:
    """Where results go; what is not read by a person is not cut to anybody's width."""
    return Console(highlight=False, width=None if sys.stdout.isatty() else _WIDE)


def err() -> Console:
    """Where everything else goes."""
    return Console(stderr=True, highlight=False)


def say(text: str, style: str = "") -> None:
    """A sentence for the user, beside the results."""
    err().print(Text(text, style=style), soft_wrap=True)


def emit(value: Any) -> None:
    """`value` as a line of JSON, at once."""
    sys.stdout.write(orjson.dumps(value, default=str).decode() + "\n")
    sys.stdout.flush()


def run(connection: Connection, action: Action) -> None:
    """Carry out a command against the service, and end with its status."""
    try:
        profile = resolve(os.environ, url=connection.url, name=connection.profile)
    except ProfileError as error:
        say(str(error), "red")
        raise typer.Exit(Exit.USAGE) from None

    async def opened() -> Exit | None:
        async with Client(profile.url, profile.api_key, patience_s=connection.patience) as client:
            return await action(client)

    raise typer.Exit(_status_of(opened))


def _status_of(action: Callable[[], Awaitable[Exit | None]]) -> Exit:
    try:
        return asyncio.run(_interruptible(action)) or Exit.OK
    except (WishError, InputError) as error:
        say(str(error), "red")
        return Exit.USAGE
    except ClientError as error:
        say(str(error), "red")
        return _status_for(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except _TerminatedError:
        return Exit.TERMINATED
    except BrokenPipeError:
        # Whoever read our output has seen enough; the interpreter must not try to flush it at the end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.OK


def _status_for(error: ClientError) -> Exit:
    match error:
        case UnreachableError():
            return Exit.UNREACHABLE
        case NotAllowedError():
            say("A key is taken from $CVC_API_KEY, or from a profile.")
            return Exit.NOT_ALLOWED
        case ApiError():
            return Exit.FAILED
        case _:
            return Exit.FAILED


class _TerminatedError(Exception):
    """SIGTERM has come."""


async def _interruptible(action: Callable[[], Awaitable[Exit | None]]) -> Exit | None:
    """`action`, which is cancelled by the first SIGTERM as it is by the first Ctrl-C."""
    task = asyncio.current_task()
    assert task is not None
    terminated = False

    def terminate() -> None:
        nonlocal terminated
        terminated = True
        task.cancel()

    with suppress(NotImplementedError, RuntimeError, ValueError):  # on Windows, or beside the main thread
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, terminate)
    try:
        return await action()
    except asyncio.CancelledError:
        if terminated:
            raise _TerminatedError from None
        raise
