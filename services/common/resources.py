"""What this process and its children use of the machine, from Linux's /proc; elsewhere nothing is known."""

import os
import resource
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
# Fields of /proc/<pid>/stat after the name in parentheses, which may itself hold spaces and parentheses.
_TIMES: Final = slice(11, 15)  # utime, stime, cutime, cstime: the last two of children that were waited for
_RSS: Final = 21


@dataclass(frozen=True, slots=True)
class Usage:
    """Processor time in seconds since the start, resident memory in bytes now."""

    cpu_s: float
    memory_bytes: int


def own() -> Usage | None:
    """Of this process alone."""
    stat = _stat(os.getpid())
    if stat is None:
        return None
    times = resource.getrusage(resource.RUSAGE_SELF)
    return Usage(times.ru_utime + times.ru_stime, _memory(stat))


def descendants() -> Usage | None:
    """Of all processes below this one, those that have ended included."""
    if not _PROC.joinpath("self", "stat").exists():
        return None
    ended = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu_s, memory = ended.ru_utime + ended.ru_stime, 0
    for pid in _below(os.getpid()):
        stat = _stat(pid)
        if stat is not None:  # else it ended meanwhile
            cpu_s += sum(map(int, stat[_TIMES])) / os.sysconf("SC_CLK_TCK")
            memory += _memory(stat)
    return Usage(cpu_s, memory)


def _below(pid: int) -> Iterator[int]:
    """The ids of all processes below `pid`, parents first."""
    for path in _PROC.glob(f"{pid}/task/*/children"):
        try:
            children = path.read_text().split()
        except OSError:  # that thread, or all of it, ended meanwhile
            continue
        for child in map(int, children):
            yield child
            yield from _below(child)


def _stat(pid: int) -> list[str] | None:
    try:
        return (_PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None


def _memory(stat: list[str]) -> int:
    return int(stat[_RSS]) * os.sysconf("SC_PAGE_SIZE")
