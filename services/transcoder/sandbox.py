"""The walls round each ffmpeg: no network, hardly a file system, bounded memory, time and output.

`setpriv` makes the kernel kill ffmpeg when we die, `prlimit` bounds it, and bubblewrap, where it works, shows it
nothing but its libraries, its input (read-only) and its working directory.  Where user namespaces are forbidden,
as in many containers, the pod's own isolation has to do; the log says which it is.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import Final, Literal

import anyio
import structlog

Mode = Literal["auto", "bubblewrap", "none"]

_log = structlog.stdlib.get_logger(__name__)
_TRIAL_TIMEOUT_S: Final = 20.0

# Read-only, where they exist: programs and libraries, then what libraries look for at run time.
_SYSTEM: Final = ("/usr", "/bin", "/sbin", "/lib", "/lib32", "/lib64", "/libx32")
_RUNTIME: Final = ("/etc/alternatives", "/etc/ld.so.cache", "/etc/fonts", "/var/cache/fontconfig")
_DEVICES: Final = (
    "/dev/dri",
    "/dev/nvidia0",
    "/dev/nvidiactl",
    "/dev/nvidia-uvm",
    "/dev/nvidia-uvm-tools",
    "/dev/nvidia-modeset",
)
_PASSED_ON: Final = ("LD_LIBRARY_PATH", "LIBVA_DRIVER_NAME", "LIBVA_DRIVERS_PATH", "NVIDIA_VISIBLE_DEVICES")


@dataclass(frozen=True, slots=True)
class Limits:
    """Bounds of one process; None is unbounded.

    Attributes:
        address_space: bytes of memory it may map.
        file_size: bytes of the largest file it may write.
        cpu_s: seconds of processor time, over all its threads.
    """

    address_space: int | None = 8 << 30
    file_size: int | None = None
    cpu_s: int | None = None


@dataclass(frozen=True, slots=True)
class Sandbox:
    """What this machine has of it.  A path is None where the program is missing or does not work here."""

    setpriv: str | None = None
    prlimit: str | None = None
    bwrap: str | None = None
    programs: tuple[str, ...] = ()  # directories outside the system's that ffmpeg needs

    @property
    def kind(self) -> str:
        """How a program is kept in, for the log."""
        return "bubblewrap" if self.bwrap else "rlimits" if self.prlimit else "none"

    def wrap(
        self,
        argv: Sequence[str],
        *,
        workdir: Path,
        reads: Iterable[Path] = (),
        limits: Limits = Limits(),
        devices: bool = False,
    ) -> list[str]:
        """The command that runs `argv` inside the walls.

        Args:
            argv: a program by its whole path, and its arguments.
            workdir: where it starts, and the only place that it may write.
            reads: files it may read besides.
            limits: what it may use.
            devices: True if it needs the graphics hardware.
        """
        command: list[str] = []
        if self.setpriv and not self.bwrap:
            command += [self.setpriv, "--pdeathsig", "KILL", "--"]
        if self.prlimit:
            # Drivers of graphics hardware reserve far more addresses than there is memory.
            bounded = replace(limits, address_space=None) if devices else limits
            command += [self.prlimit, *_prlimit_options(bounded), "--"]
        if self.bwrap:
            command += [self.bwrap, *self._namespaces(workdir, reads, devices=devices), "--"]
        return [*command, *argv]

    def _namespaces(self, workdir: Path, reads: Iterable[Path], *, devices: bool) -> list[str]:
        # As the first process of its namespace it is waited for by bubblewrap itself: no zombie is left to others.
        options = ["--unshare-all", "--die-with-parent", "--as-pid-1"]
        options += _system()
        for path in (*_RUNTIME, *self.programs):
            options += ["--ro-bind-try", path, path]
        options += ["--dev", "/dev", "--dir", "/tmp"]  # noqa: S108 -- inside the sandbox
        if devices:
            options += ["--ro-bind-try", "/sys", "/sys"]
            for path in _DEVICES:
                options += ["--dev-bind-try", path, path]
        options += ["--bind", str(workdir), str(workdir)]
        for path in map(str, reads):
            options += ["--ro-bind", path, path]
        return [*options, "--remount-ro", "/", "--chdir", str(workdir)]


@cache
def _system() -> tuple[str, ...]:
    """Shows the system's directories.  What only links into another of them needs no mount, and each mount costs."""
    options: list[str] = []
    for path in _SYSTEM:
        real = Path(path).resolve()
        if Path(path).is_symlink() and real.is_relative_to(_SYSTEM[0]):
            options += ["--symlink", str(real), path]
        else:
            options += ["--ro-bind-try", path, path]
    return tuple(options)


def environment(workdir: Path, inherited: Mapping[str, str] = os.environ) -> dict[str, str]:
    """The environment of a program in the sandbox: none of our secrets, and its temporary files in `workdir`."""
    passed = {name: inherited[name] for name in _PASSED_ON if name in inherited}
    return {
        **passed,
        "PATH": inherited.get("PATH", os.defpath),
        "HOME": str(workdir),
        "TMPDIR": str(workdir),
        "LC_ALL": "C.UTF-8",
        "AV_LOG_FORCE_NOCOLOR": "1",
    }


def _prlimit_options(limits: Limits) -> list[str]:
    options = ["--core=0"]
    if limits.address_space is not None:
        options.append(f"--as={limits.address_space}")
    if limits.file_size is not None:
        options.append(f"--fsize={limits.file_size}")
    if limits.cpu_s is not None:
        options.append(f"--cpu={limits.cpu_s}")
    return options


async def detect(program: str, mode: Mode = "auto") -> Sandbox:
    """The walls that work here for `program` (its whole path), each tried by running it.

    `mode` "none" forgoes bubblewrap; "bubblewrap" logs an error where it is missing or does not work.
    """
    found = Sandbox(
        setpriv=await _working("setpriv", ["--pdeathsig", "KILL", "--"], program),
        prlimit=await _working("prlimit", ["--core=0", "--"], program),
    )
    bwrap = None if mode == "none" else shutil.which("bwrap")
    if bwrap:
        inside = Sandbox(found.setpriv, found.prlimit, bwrap, _program_directories(program))
        problem = await _trial(inside.wrap([program, "-version"], workdir=Path(tempfile.gettempdir())))
        if problem is None:
            found = inside
        else:
            _log.warning("sandbox_unavailable", program="bwrap", reason=problem)
    if mode == "bubblewrap" and not found.bwrap:
        _log.error("sandbox_missing", program="bwrap", using=found.kind)
    _log.info("sandbox_chosen", kind=found.kind, dies_with_parent=bool(found.bwrap or found.setpriv))
    return found


def _program_directories(program: str) -> tuple[str, ...]:
    """Directories of `program` and of what it links to, where the system's do not hold them."""
    places = {str(Path(program).parent), str(Path(program).resolve().parent)}
    return tuple(sorted(place for place in places if not place.startswith(_SYSTEM)))


async def _working(tool: str, options: Sequence[str], program: str) -> str | None:
    path = shutil.which(tool)
    if path is None:
        _log.warning("sandbox_unavailable", program=tool, reason="not installed")
        return None
    problem = await _trial([path, *options, program, "-version"])
    if problem is not None:
        _log.warning("sandbox_unavailable", program=tool, reason=problem)
        return None
    return path


async def _trial(command: Sequence[str]) -> str | None:
    """None if `command` ends well, otherwise why not."""
    try:
        with anyio.fail_after(_TRIAL_TIMEOUT_S):
            done = await anyio.run_process(command, check=False, stdin=subprocess.DEVNULL)
    except (OSError, TimeoutError) as error:
        return str(error) or type(error).__name__
    if done.returncode == 0:
        return None
    return done.stderr[-500:].decode(errors="replace").strip() or f"exit code {done.returncode}"
