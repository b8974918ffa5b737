"""A process of its own that outlives the supervisor by a moment, to leave nothing behind.

Linux ends a direct child together with its parent if asked to (`setpriv --pdeathsig`), but not grandchildren:
nginx's workers would go on without their master. So the supervisor tells this process about each process group
over a pipe; when the pipe closes, for whatever reason, SIGKILL included, every group still listed is killed.
"""

import contextlib
import os
import signal
import subprocess
import sys
from typing import Self


class Guardian:
    """The supervisor's end of the pipe."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-I", "-S", __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            start_new_session=True,
            bufsize=0,
        )

    def watch(self, group: int) -> None:
        self._tell("+", group)

    def forget(self, group: int) -> None:
        self._tell("-", group)

    def close(self) -> None:
        """End the guardian; groups still watched are killed."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _tell(self, verb: str, group: int) -> None:
        assert self._process.stdin is not None
        # Somebody ended the guardian: the supervisor's own stop and pdeathsig still hold.
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(f"{verb}{group}\n".encode())


def kill_group(group: int, signum: int = signal.SIGKILL) -> None:
    """Send a signal to a process group; one that is gone already is fine."""
    with contextlib.suppress(ProcessLookupError):
        os.killpg(group, signum)


def main() -> None:
    groups: set[int] = set()
    for line in sys.stdin.buffer:
        verb, group = line[:1], int(line[1:])
        if verb == b"+":
            groups.add(group)
        else:
            groups.discard(group)
    for group in groups:
        kill_group(group)


if __name__ == "__main__":
    main()
