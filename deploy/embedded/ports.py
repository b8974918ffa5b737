"""TCP ports: which are free, and a clear word about each that is not."""

import contextlib
import errno
import random
import socket
from collections.abc import Iterable

from deploy.embedded.spec import PortUse

# Below Linux's default ephemeral range, so that no outgoing connection takes one between the check and its use.
_CHOICE = range(20_000, 32_000)


def free_ports(count: int, host: str = "127.0.0.1") -> list[int]:
    """Distinct ports that nobody listens on; who else asks here is given others for as long as this process lives."""
    found: list[int] = []
    for port in random.sample(_CHOICE, len(_CHOICE)):
        # In this order: a look at a port listens on it for a moment, and its owner may be about to.
        if _claimed(port) and _refusal(host, port) is None:
            found.append(port)
        if len(found) == count:
            return found
    raise OSError(errno.EADDRINUSE, f"fewer than {count} free ports between {_CHOICE.start} and {_CHOICE.stop}")


def port_problems(uses: Iterable[PortUse]) -> list[str]:
    """One sentence for each port that can't be used; empty when all can."""
    problems: list[str] = []
    owners: dict[int, str] = {}
    for use in uses:
        if other := owners.get(use.port):
            problems.append(f"{use.setting} and {other} are both {use.port}: give one of them another port")
            continue
        owners[use.port] = use.setting
        if refusal := _refusal(use.host, use.port):
            problems.append(f"port {use.port} on {use.host} {refusal}; set {use.setting} to another port")
    return problems


def _claimed(port: int) -> bool:
    """True if nobody has been given this port.

    Between the choice of a port and its use lie seconds, in which another run must not choose the same. The claim is
    an abstract socket address: it holds for just those who share these ports, and goes with this process.
    """
    with contextlib.closing(socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)) as claim:
        try:
            claim.bind(f"\0cloud-video-conversion/port/{port}")
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return False
            raise
        claim.detach()  # never closed
    return True


def _refusal(host: str, port: int) -> str | None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with contextlib.closing(socket.socket(family, socket.SOCK_STREAM)) as probe:
        # Without it, a port whose last connections are in TIME_WAIT would look taken after a restart.
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((host, port))
            probe.listen(1)
        except PermissionError:
            return "needs root"
        except OSError as error:
            if error.errno == errno.EADDRINUSE:
                return "is taken by another program"
            return f"can't be listened on ({error.strerror})"
    return None
