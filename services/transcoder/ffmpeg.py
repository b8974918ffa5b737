"""Runs one program of ffmpeg's to its end, whatever happens to it or to us, and leaves no process behind."""

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Final

import anyio
from anyio.abc import ByteReceiveStream, Process

from services.transcoder.progress import FfmpegProgress, ProgressParser
from services.transcoder.result import NO_PROGRESS, Result, Stopped
from services.transcoder.stderr import StderrTail

# ffmpeg would finish its file when asked to end; nobody wants that file, so it gets little time for it.
TERMINATION_GRACE_S: Final = 0.5
_DRAIN_GRACE_S: Final = 1.0
_GROUP_POLL_S: Final = 0.005
_CHUNK: Final = 64 * 1024


class _Watch:
    """What is known of a running program, and whether it still moves."""

    def __init__(self, on_progress: Callable[[FfmpegProgress], None] | None, keep: int) -> None:
        self.parser = ProgressParser()
        self.stderr = StderrTail()
        self.stdout = bytearray()
        self.last = NO_PROGRESS
        self.stopped: Stopped | None = None
        self.started_at = self.moved_at = time.monotonic()
        self._on_progress = on_progress
        self._keep = keep

    def take_stdout(self, data: bytes) -> None:
        if self._keep:
            self.stdout += data[: max(0, self._keep - len(self.stdout))]
            return
        for block in self.parser.feed(data):
            if _position(block) != _position(self.last):
                self.moved_at = time.monotonic()
            self.last = block
            if self._on_progress is not None:
                self._on_progress(block)

    def result(self, returncode: int | None) -> Result:
        return Result(
            returncode=-signal.SIGKILL if returncode is None else returncode,
            stderr=self.stderr.text(),
            stdout=bytes(self.stdout),
            damage=self.stderr.damage,
            cut_short=self.stderr.cut_short,
            not_written=self.stderr.not_written,
            last=self.last,
            stopped=self.stopped,
            elapsed_s=time.monotonic() - self.started_at,
        )


def _position(block: FfmpegProgress) -> tuple[object, ...]:
    return block.frame, block.out_time_s, block.total_size


async def run(
    command: Sequence[str],
    *,
    cwd: Path,
    env: Mapping[str, str],
    on_started: Callable[[int], None] | None = None,
    on_progress: Callable[[FfmpegProgress], None] | None = None,
    keep_stdout: int = 0,
    stall_timeout_s: float | None = None,
    timeout_s: float | None = None,
) -> Result:
    """Runs `command` and returns how it ended; when cancelled it ends the program first.

    Args:
        command: the whole command, with its sandbox round it.
        cwd: its working directory.
        env: its whole environment.
        on_started: called with its process id, which is its process group's too, before anything else.
        on_progress: called with each block of `-progress pipe:1`.
        keep_stdout: bytes of standard output to keep instead of reading progress from it.
        stall_timeout_s: ends it when for so long neither time, frames nor bytes have moved.
        timeout_s: ends it after so long.

    Raises:
        OSError: it could not be started.
    """
    watch = _Watch(on_progress, keep_stdout)
    with anyio.CancelScope(shield=True):  # a process whose handle was lost could never be ended
        process = await anyio.open_process(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            cwd=cwd,
            env=env,
            start_new_session=True,
        )
    try:
        if on_started is not None:
            on_started(process.pid)
        await _attend(process, watch, stall_timeout_s, timeout_s)
    finally:
        with anyio.CancelScope(shield=True):
            await _end(process)
    return watch.result(process.returncode)


async def _attend(process: Process, watch: _Watch, stall_timeout_s: float | None, timeout_s: float | None) -> None:
    """Reads what `process` says until it has ended, or ends it when it no longer moves or takes too long."""
    assert process.stdout is not None
    assert process.stderr is not None
    async with anyio.create_task_group() as readers:
        readers.start_soon(_drain, process.stdout, watch.take_stdout)
        readers.start_soon(_drain, process.stderr, watch.stderr.feed)
        async with anyio.create_task_group() as watchers:
            if stall_timeout_s is not None:
                watchers.start_soon(_watch_stall, process, watch, stall_timeout_s)
            if timeout_s is not None:
                watchers.start_soon(_watch_time, process, watch, timeout_s)
            await process.wait()
            watchers.cancel_scope.cancel()
        # A child of its own may still hold the pipes open.
        _signal_group(process, signal.SIGKILL)
        readers.cancel_scope.deadline = anyio.current_time() + _DRAIN_GRACE_S


async def _drain(stream: ByteReceiveStream, take: Callable[[bytes], None]) -> None:
    try:
        while True:
            take(await stream.receive(_CHUNK))
    except (anyio.EndOfStream, anyio.BrokenResourceError, anyio.ClosedResourceError):
        return


async def _watch_stall(process: Process, watch: _Watch, stall_timeout_s: float) -> None:
    while (left := watch.moved_at + stall_timeout_s - time.monotonic()) > 0:  # noqa: ASYNC110 -- it is time that counts
        await anyio.sleep(left)
    await _stop(process, watch, "stalled")


async def _watch_time(process: Process, watch: _Watch, timeout_s: float) -> None:
    await anyio.sleep(timeout_s)
    await _stop(process, watch, "timeout")


async def _stop(process: Process, watch: _Watch, reason: Stopped) -> None:
    if watch.stopped is None and process.returncode is None:
        watch.stopped = reason
        await _terminate(process)


async def _end(process: Process) -> None:
    """Terminates, waits, kills the group, reaps, and closes the pipes."""
    if process.returncode is None:
        await _terminate(process)
    await process.aclose()


async def _terminate(process: Process) -> None:
    for number in (signal.SIGTERM, signal.SIGKILL):
        _signal(_inner(process), number)
        with anyio.move_on_after(TERMINATION_GRACE_S):
            await process.wait()
            break
    _signal_group(process, signal.SIGKILL)
    with anyio.move_on_after(_DRAIN_GRACE_S):
        while _signal_group(process, None):  # noqa: ASYNC110 -- no event tells that a group is empty
            await anyio.sleep(_GROUP_POLL_S)


def _inner(process: Process) -> list[int]:
    """What to signal: the children where bubblewrap stands before them, for it passes no signal on."""
    try:
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    except OSError:
        children = []
    return [int(child) for child in children] or [process.pid]


def _signal(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _signal_group(process: Process, number: signal.Signals | None) -> bool:
    """Signals all of the group, or with None nobody; False if there is nobody left in it."""
    try:
        # The process is the leader of a session of its own, so its group has its number.
        os.killpg(process.pid, number or 0)
    except (ProcessLookupError, PermissionError):
        return False
    return True
