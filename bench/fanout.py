"""What one event costs the server for each client that gets it, beside the usual libraries."""

import asyncio
import os
import signal
import statistics
import sys
from dataclasses import dataclass

import uvloop

from bench.push.clients import Tally, connect
from bench.push.measure import cpu_seconds, resident_bytes
from bench.push.ports import free_port

CLIENTS = 1000
SUBSCRIBE = ['{"type":"subscribe","job_id":"*"}']
HELLOS = {"ours": SUBSCRIBE, "socketio": ["40"]}
PATHS = {"socketio": "/socket.io/?EIO=4&transport=websocket"}
MARKER = b"job.progress"


@dataclass(frozen=True)
class Cost:
    """Of one server at one pace."""

    us_per_delivery: float
    kib_per_connection: float


async def measure(kind: str, events: int, per_window: int) -> Cost:
    """Run the server of `kind` with `CLIENTS` clients and let it send `events` events."""
    port = free_port()
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.push.servers", kind, str(port), str(events), str(per_window)),
        stdout=asyncio.subprocess.PIPE,
    )
    try:
        assert server.stdout is not None
        await server.stdout.readline()
        before = resident_bytes(server.pid)
        tally = Tally(MARKER)
        await connect(CLIENTS, port, tally, path=PATHS.get(kind, "/ws"), hellos=HELLOS.get(kind, []))
        await asyncio.sleep(1.5)
        memory = (resident_bytes(server.pid) - before) / CLIENTS
        tally.events = 0
        used = cpu_seconds(server.pid)
        os.kill(server.pid, signal.SIGUSR1)
        await _arrived(tally, CLIENTS * events)
        used = cpu_seconds(server.pid) - used
        return Cost(used / (CLIENTS * events) * 1e6, memory / 1024)
    finally:
        server.kill()
        await server.wait()


async def _arrived(tally: Tally, wanted: int) -> None:
    seen, still = -1, 0
    while tally.events < wanted:
        still = still + 1 if tally.events == seen else 0
        seen = tally.events
        if still > 2000:
            raise RuntimeError(f"only {seen} of {wanted} events have arrived")
        await asyncio.sleep(0.005)


async def _median(kind: str, events: int, per_window: int, *, runs: int = 3) -> Cost:
    costs = [await measure(kind, events, per_window) for _ in range(runs)]
    return Cost(
        statistics.median(cost.us_per_delivery for cost in costs),
        statistics.median(cost.kib_per_connection for cost in costs),
    )


def _figure(unit: str, ours: float, peer: str, peer_value: float, goal: str, *, holds: bool) -> dict:
    return {
        "bench": "fanout",
        "unit": unit,
        "ours": round(ours, 2),
        "peer": peer,
        "peer_value": round(peer_value, 2),
        "ratio": round(ours / peer_value, 3),
        "goal": goal,
        "holds": holds,
    }


async def _figures() -> list[dict]:
    ours = await _median("ours", 1000, 10)
    figures = []
    for peer, events in (("websockets", 300), ("socketio", 100)):
        theirs = await _median(peer, events, 10)
        figures.append(
            _figure(
                "us CPU a delivery, 10 events a window",
                ours.us_per_delivery,
                peer,
                theirs.us_per_delivery,
                "<= 1/6",
                holds=ours.us_per_delivery <= theirs.us_per_delivery / 6,
            )
        )
    single, plain = await _median("ours", 150, 1), await _median("aiohttp", 150, 1)
    figures.append(
        _figure(
            "us CPU a delivery, 1 event a window",
            single.us_per_delivery,
            "aiohttp send_str",
            plain.us_per_delivery,
            "<= 1",
            holds=single.us_per_delivery <= plain.us_per_delivery,
        )
    )
    figures.append(
        _figure(
            "KiB a connection",
            ours.kib_per_connection,
            "aiohttp",
            plain.kib_per_connection,
            "<= 15 KiB",
            holds=ours.kib_per_connection <= 15,
        )
    )
    return figures


def figures() -> list[dict]:
    """The fan-out figures."""
    return uvloop.run(_figures())


if __name__ == "__main__":
    for figure in figures():
        print(figure)
