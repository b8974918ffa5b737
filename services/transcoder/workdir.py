"""Directories for files in work: private to a process, then to a run, and gone after either."""

import fcntl
import os
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import mkdtemp

from services.common.logs import get_logger

log = get_logger(__name__)

_LOCK = ".lock"
_PREFIX = "transcoder-"


class WorkDir:
    """One process's directory under the work path, marked as alive by a lock that dies with the process."""

    def __init__(self, root: Path) -> None:
        """Make the directory, and remove those that dead processes left behind."""
        root.mkdir(parents=True, exist_ok=True)
        self._root = root
        self.path, self._lock = _claim(root)
        self._sweep()

    def free_bytes(self) -> int:
        """Space left on the file system."""
        return shutil.disk_usage(self.path).free

    @contextmanager
    def run(self, job_id: str) -> Iterator[Path]:
        """A fresh directory for one run, removed afterwards whatever happens."""
        path = Path(mkdtemp(prefix=f"{job_id}-", dir=self.path))
        try:
            yield path
        finally:
            shutil.rmtree(path, ignore_errors=True)

    def close(self) -> None:
        """Remove the directory."""
        shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)

    def _sweep(self) -> None:
        for path in self._root.glob(f"{_PREFIX}*"):
            if path == self.path:
                continue
            lock = _lock(path)
            if lock is None:
                continue
            log.info("litter_removed", path=path.name, ended=_end_strays(path))
            shutil.rmtree(path, ignore_errors=True)
            os.close(lock)


def _end_strays(path: Path) -> int:
    """Kill what still works on `path`; how many processes those were.

    Bubblewrap ends with the process that started it, but if that dies while the walls are being built, the one inside
    waits for ever for the word to begin.
    """
    ended = 0
    for entry in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):  # gone in the meantime, or not ours
            if os.fsencode(path) in (entry / "cmdline").read_bytes():
                os.kill(int(entry.name), signal.SIGKILL)
                ended += 1
    return ended


def _claim(root: Path) -> tuple[Path, int]:
    while True:
        path = Path(mkdtemp(prefix=_PREFIX, dir=root))
        lock = _lock(path)
        if lock is not None:
            return path, lock
        # Another process, sweeping, took the new directory for litter before it was locked.


def _lock(path: Path) -> int | None:
    """A file descriptor that holds the lock of directory `path`, None if another process has it."""
    try:
        descriptor = os.open(path / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except FileNotFoundError:  # removed by another sweep just now
        return None
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        os.close(descriptor)
        return None
    return descriptor
