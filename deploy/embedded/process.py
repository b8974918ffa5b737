"""One child: started in a process group of its own, watched, stopped for certain."""

import contextlib
import os
import shutil
import signal
import subprocess
from collections import deque
from pathlib import Path

import anyio
from anyio.abc import Process

from deploy.embedded.guardian import Guardian, kill_group
from deploy.embedded.probes import is_ready
from deploy.embedded.spec import ProcessSpec

_PROBE_PAUSE_S = 0.05
_TAIL_BYTES = 64 << 10
_LOG_LIMIT = 64 << 20


class NotReadyError(Exception):
    """The process ended, or its time was up, before it was ready."""


class ManagedProcess:
    """The child that a `ProcessSpec` describes. It can be started again after it has ended."""

    def __init__(self, spec: ProcessSpec, guardian: Guardian) -> None:
        self.spec = spec
        self._guardian = guardian
        self._process: Process | None = None

    @property
    def pid(self) -> int | None:
        """Its process id, which is also the id of its group; None before the first start."""
        return self._process.pid if self._process else None

    @property
    def running(self) -> bool:
        return self._process is not None and self._process.returncode is None

    async def start(self) -> None:
        """Start it, with its log begun anew (the last one is kept as `NAME.log.1`).

        Raises:
            OSError: the program isn't there or can't be run.
        """
        assert not self.running, f"{self.spec.name} runs already"
        rotate(self.spec.log)
        with self.spec.log.open("ab") as log:
            self._process = await anyio.open_process(
                # Ends with this process, even if that is killed; grandchildren are the guardian's.
                ["setpriv", "--pdeathsig", "KILL", "--", *self.spec.argv],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                cwd=self.spec.cwd,
                env=self.spec.env,
                start_new_session=True,
            )
        self._guardian.watch(self._process.pid)

    async def wait_ready(self) -> None:
        """Return when its probe says yes.

        Raises:
            NotReadyError: it ended, or `ready_within_s` went by.
        """
        with anyio.move_on_after(self.spec.ready_within_s):
            while self.running:
                # Asked after the probe too: another program may answer on the port of one that died.
                if await is_ready(self.spec.ready) and self.running:
                    return
                await anyio.sleep(_PROBE_PAUSE_S)
            raise NotReadyError(f"ended before it was ready ({self.ending()})")
        raise NotReadyError(f"was not ready within {self.spec.ready_within_s:.0f} seconds")

    async def wait(self) -> int:
        """Wait until it has ended; whatever is left of its group is killed. Returns the exit status."""
        assert self._process is not None
        status = await self._process.wait()
        kill_group(self._process.pid)
        self._guardian.forget(self._process.pid)
        return status

    def kill(self, signum: signal.Signals) -> None:
        """Send a signal to the process alone, not to its group."""
        assert self._process is not None
        with contextlib.suppress(ProcessLookupError):
            self._process.send_signal(signum)

    async def stop(self) -> None:
        """Ask, wait for `stop_grace_s`, then kill the group. Also when cancelled, nothing is left."""
        if self._process is None:
            return
        if self.running:
            self.kill(self.spec.stop_signal)
        try:
            with anyio.move_on_after(self.spec.stop_grace_s):
                await self._process.wait()
        finally:
            with anyio.CancelScope(shield=True):
                if self.running:
                    kill_group(self._process.pid)
                await self.wait()

    def ending(self) -> str:
        """How it ended, in words: `exit status 1`, `killed by SIGKILL`."""
        status = self._process.returncode if self._process else None
        if status is None:
            return "still running"
        if status < 0:
            return f"killed by {signal.Signals(-status).name}"
        return f"exit status {status}"

    def tail(self, lines: int = 15) -> list[str]:
        return tail(self.spec.log, lines)


def rotate(log: Path) -> None:
    """Put a log aside as `NAME.log.1`, over the one before; empty and absent ones are left."""
    if log.exists() and log.stat().st_size:
        log.replace(log.with_name(log.name + ".1"))


def tail(log: Path, lines: int) -> list[str]:
    """The last lines of a log, which may be large or absent."""
    if not log.exists():
        return []
    with log.open("rb") as file:
        file.seek(max(0, log.stat().st_size - _TAIL_BYTES), os.SEEK_SET)
        return list(deque((line.decode(errors="replace").rstrip() for line in file), maxlen=lines))


def bound(log: Path, limit: int = _LOG_LIMIT) -> None:
    """Move a log that has grown past `limit` bytes to `NAME.log.1`; its writer appends, so it just goes on."""
    if log.exists() and log.stat().st_size > limit:
        shutil.copyfile(log, log.with_name(log.name + ".1"))
        os.truncate(log, 0)
