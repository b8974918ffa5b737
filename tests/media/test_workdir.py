"""Directories for files in work, and what is left of those who were killed."""

import signal
import subprocess
from pathlib import Path

from services.transcoder.workdir import WorkDir
from tests.stack import eventually


def reader(path: Path) -> subprocess.Popen[bytes]:
    """A process that waits for ever, with `path` on its command line."""
    return subprocess.Popen(["/bin/sh", "-c", "read forever", "sh", str(path)], stdin=subprocess.PIPE)


def named(process: subprocess.Popen[bytes]) -> bool:
    """True once the kernel knows its command line, a moment after its start."""
    return b"a-job" in Path(f"/proc/{process.pid}/cmdline").read_bytes()


async def test_what_a_killed_transcoder_left_is_removed_and_ended_and_that_of_a_living_one_is_not(
    tmp_path: Path,
) -> None:
    living = WorkDir(tmp_path)
    dead = tmp_path / "transcoder-dead"
    (dead / "a-job").mkdir(parents=True)
    (dead / "a-job" / "input").write_text("a film")
    readers = [reader(path / "a-job") for path in (living.path, dead)]
    try:
        await eventually(lambda: all(map(named, readers)))
        next_one = WorkDir(tmp_path)

        assert readers[1].wait(60) == -signal.SIGKILL
        assert readers[0].poll() is None
        assert {path.name for path in tmp_path.iterdir()} == {living.path.name, next_one.path.name}
        next_one.close()
        living.close()
        assert list(tmp_path.iterdir()) == []
    finally:
        for process in readers:
            process.kill()
            process.wait()
