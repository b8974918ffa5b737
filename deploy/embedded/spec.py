"""What a process is, as frozen data: nothing here starts anything."""

import signal
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class TcpProbe:
    """Ready when something accepts a TCP connection."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class AmqpProbe:
    """Ready when the broker answers an AMQP 0-9-1 protocol header with `connection.start`."""

    host: str
    port: int


@dataclass(frozen=True, slots=True)
class HttpProbe:
    """Ready when `GET path` is answered with a status below `status_below`."""

    host: str
    port: int
    path: str = "/readyz"
    status_below: int = 300


Probe = TcpProbe | AmqpProbe | HttpProbe


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One process: how to start it, how to know that it is ready, how and when to stop it.

    Attributes:
        env: the whole environment of the process; nothing else is inherited.
        log: file that takes its stdout and stderr.
        after: names of the processes that have to be ready before this one is started.
        stop_stage: processes are stopped stage by stage, the lowest first, each stage at once.
        stop_grace_s: seconds between `stop_signal` and SIGKILL of its process group.
        ready_within_s: seconds from the start after which it counts as failed.
    """

    name: str
    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path
    log: Path
    ready: Probe
    after: tuple[str, ...] = ()
    stop_signal: signal.Signals = signal.SIGTERM
    stop_stage: int = 0
    stop_grace_s: float = 10.0
    ready_within_s: float = 60.0


@dataclass(frozen=True, slots=True)
class FileSpec:
    """A file to be written before the start, private to the user by default."""

    path: Path
    text: str
    mode: int = 0o600


@dataclass(frozen=True, slots=True)
class PortUse:
    """A TCP port that is about to be listened on, and the setting that moves it."""

    setting: str
    host: str
    port: int
