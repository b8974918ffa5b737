"""The gateway with a hundred thousand jobs in its table beside itself with none, and its memory over many requests."""

import statistics
from typing import Any

import uvloop

from bench.api.load import drive, get, post
from bench.api.servers import JOB, Server, machine, ours
from bench.push.measure import resident_bytes

JOBS = 100_000
SECONDS = 5.0
RUNS = 3
GOAL = 0.8
REQUESTS = 50_000
WARM_UP = 10_000
MAY_GROW_MIB = 16.0


async def _rates(server: Server) -> tuple[float, float]:
    created = await drive(server.port, post("/jobs", JOB), seconds=SECONDS)
    read = await drive(server.port, get(f"/jobs/{server.job_id}"), seconds=SECONDS)
    return created.rate, read.rate


async def _with(jobs: int) -> tuple[float, float]:
    """POST and GET a second with so many jobs in the table."""
    async with machine() as stack, ours(stack, jobs=jobs) as server:
        return await _rates(server)


async def _growth_mib() -> float:
    """How much the gateway's memory grows from the end of a warm-up over `REQUESTS` more, half of them new jobs."""
    async with machine() as stack, ours(stack) as server:

        async def work(requests: int) -> None:
            await drive(server.port, post("/jobs", JOB), requests=requests // 2)
            await drive(server.port, get(f"/jobs/{server.job_id}"), requests=requests // 2)

        await work(WARM_UP)
        before = resident_bytes(server.pid)
        await work(REQUESTS)
        return (resident_bytes(server.pid) - before) / (1 << 20)


async def _measure() -> tuple[list[tuple[float, float]], list[tuple[float, float]], float]:
    full: list[tuple[float, float]] = []
    empty: list[tuple[float, float]] = []
    for _ in range(RUNS):
        empty.append(await _with(0))
        full.append(await _with(JOBS))
    return full, empty, await _growth_mib()


def figures() -> list[dict[str, Any]]:
    """What a large table and a long life cost."""
    full, empty, growth = uvloop.run(_measure())
    found = []
    for place, name in enumerate(("POST /jobs", "GET /jobs/{id}")):
        with_jobs, without = (statistics.median(rates[place] for rates in side) for side in (full, empty))
        found.append(
            {
                "bench": "table",
                "unit": f"{name} a second with {JOBS} jobs in the table",
                "ours": round(with_jobs),
                "peer": "itself with an empty table",
                "peer_value": round(without),
                "ratio": round(with_jobs / without, 2),
                "goal": f">= {GOAL:g}",
                "holds": with_jobs >= GOAL * without,
            }
        )
    found.append(
        {
            "bench": "table",
            "unit": f"MiB that memory grows over {REQUESTS} requests",
            "ours": round(growth, 1),
            "peer": "flat",
            "peer_value": MAY_GROW_MIB,
            "ratio": round(growth / MAY_GROW_MIB, 2),
            "goal": f"<= {MAY_GROW_MIB:g} MiB",
            "holds": growth <= MAY_GROW_MIB,
        }
    )
    return found


if __name__ == "__main__":
    for figure in figures():
        print(figure)
