"""`python -m deploy.embedded`: run the whole system in the foreground until Ctrl-C.

Exit status: 0 after a signal, 1 when a process could not be kept running, 2 when the start makes no sense (a wrong
setting, a port that is taken, a directory in use, a program that isn't installed).
"""

import argparse
import os
import shutil
import sys
from collections.abc import Sequence

import anyio

from deploy.embedded.console import Console
from deploy.embedded.guardian import Guardian
from deploy.embedded.ports import port_problems
from deploy.embedded.prepare import DataDirInUseError, page_is_built
from deploy.embedded.settings import EmbeddedSettings
from deploy.embedded.spec import ProcessSpec
from deploy.embedded.supervisor import RunFailedError, Supervisor
from deploy.embedded.system import prepared
from services.common.settings import load_or_exit


class CannotStartError(Exception):
    """Nothing was started; the text says what to do, one line each."""


def select(specs: Sequence[ProcessSpec], only: str | None) -> list[ProcessSpec]:
    """The processes named in `only` (comma-separated), or all.

    Raises:
        CannotStartError: a name that is none.
    """
    if only is None:
        return list(specs)
    names = {name.strip() for name in only.split(",")}
    known = [spec.name for spec in specs]
    if unknown := sorted(names.difference(known)):
        raise CannotStartError(f"no such process: {', '.join(unknown)}. There are {', '.join(known)}")
    return [spec for spec in specs if spec.name in names]


def missing_programs(specs: Sequence[ProcessSpec]) -> list[str]:
    return [
        f"{spec.argv[0]} is not installed; `make up` installs what is missing"
        for spec in specs
        if shutil.which(spec.argv[0]) is None
    ]


async def run(settings: EmbeddedSettings, only: str | None, console: Console) -> None:
    """Check everything that can be checked, then run.

    Raises:
        CannotStartError: a check failed.
        RunFailedError: a process could not be kept running.
    """
    try:
        with Guardian() as guardian, prepared(settings, os.environ) as system:
            specs = select(list(system.processes.values()), only)
            if problems := [*port_problems(settings.port_uses), *missing_programs(specs)]:
                raise CannotStartError("\n".join(problems))
            console.say(f"Data in {settings.data_dir}, logs in {settings.layout.logs}")
            if not page_is_built():
                console.say("The page is not built: `make up` builds it; the API works without")
            await Supervisor(specs, guardian, console).run(ready_line=f"Ready: {settings.url}")
    except DataDirInUseError as error:
        raise CannotStartError(str(error)) from error
    except OSError as error:
        raise CannotStartError(f"DATA_DIR {settings.data_dir}: {error.strerror or error}") from error


def main() -> int:
    parser = argparse.ArgumentParser(prog="deploy.embedded", description="Run the whole system on this machine.")
    parser.add_argument("--only", metavar="NAMES", help="just these processes, comma-separated")
    arguments = parser.parse_args()
    console = Console()
    settings = load_or_exit(EmbeddedSettings)
    try:
        anyio.run(run, settings, arguments.only, console)
    except CannotStartError as error:
        sys.stderr.write(f"Can't start:\n{error}\n")
        return 2
    except RunFailedError as error:
        sys.stderr.write(f"Stopped: {error}\n")
        return 1
    console.say("Stopped")
    return 0


if __name__ == "__main__":
    sys.exit(main())
