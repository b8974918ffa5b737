"""Ten thousand clients on one notifier: what each costs in memory, and how long a burst takes to reach them all."""

import asyncio
from typing import Any

import uvloop

from bench.push.clients import Tally, connect
from bench.push.events import body
from bench.push.limits import allow_many_files
from bench.push.measure import percentile, resident_bytes
from bench.push.notifier import running_notifier
from services.common import topology

CLIENTS = 10_000
BURST = 10
BURSTS = 5
MARKER = b"job.progress"
SUBSCRIBE = ['{"type":"subscribe","job_id":"*"}']
GOAL_S = 1.0
GOAL_KIB = 15.0


async def _measure() -> tuple[float, list[float]]:
    """KiB a connection, and the seconds from the first publish of a burst to each client's last event of it."""
    loop = asyncio.get_running_loop()
    async with running_notifier() as (stack, bus):
        pid = stack.pid("notifier")
        warm = Tally(MARKER)  # so that what the first connections make once for all is not counted as theirs
        for client in await connect(50, stack.settings.notifier_port, warm, hellos=SUBSCRIBE):
            client.transport.close()
        await asyncio.sleep(1)
        before = resident_bytes(pid)
        tally = Tally(MARKER)
        await connect(CLIENTS, stack.settings.notifier_port, tally, hellos=SUBSCRIBE, keep=CLIENTS)
        await asyncio.sleep(2)
        kib = (resident_bytes(pid) - before) / CLIENTS / 1024
        late: list[float] = []
        for number in range(BURSTS):
            tally.events = 0
            tally.arrivals.clear()
            begin = loop.time()
            events = [body(number * BURST + n) for n in range(BURST)]
            await asyncio.gather(
                *(bus.publish(topology.EVENTS, "job.progress.default.bench", event) for event in events)
            )
            while tally.events < CLIENTS * BURST:  # noqa: ASYNC110 -- what counts is counted elsewhere
                await asyncio.sleep(0.01)
            for arrived, data in tally.arrivals:
                late += [arrived - begin] * data.count(MARKER)
        if tally.lost:
            raise RuntimeError(f"{tally.lost} connections were lost")
        return kib, late


def figures() -> list[dict[str, Any]]:
    """The figures for many connections."""
    allow_many_files()
    kib, late = uvloop.run(_measure())
    p99 = percentile(late, 0.99)
    return [
        {
            "bench": "connections",
            "unit": f"KiB a connection, {CLIENTS} connections",
            "ours": round(kib, 2),
            "peer": "goal",
            "peer_value": GOAL_KIB,
            "ratio": round(kib / GOAL_KIB, 3),
            "goal": f"<= {GOAL_KIB:.0f} KiB",
            "holds": kib <= GOAL_KIB,
        },
        {
            "bench": "connections",
            "unit": f"s p99 from publish to socket, a burst of {BURST} to {CLIENTS} connections",
            "ours": round(p99, 3),
            "peer": "goal",
            "peer_value": GOAL_S,
            "ratio": round(p99 / GOAL_S, 3),
            "goal": f"< {GOAL_S:.0f} s",
            "holds": p99 < GOAL_S,
        },
    ]


if __name__ == "__main__":
    for figure in figures():
        print(figure)
