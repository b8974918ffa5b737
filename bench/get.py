"""GET /jobs/{id} at 32 connections, beside the seed design."""

import statistics
from typing import Any

import uvloop

from bench.api.load import drive, get
from bench.api.servers import machine, ours, seed

SECONDS = 5.0
RUNS = 3
GOAL = 1.5


async def _measure() -> tuple[float, float]:
    """Answers a second of ours and of the seed's: the medians of runs in turn."""
    mine: list[float] = []
    theirs: list[float] = []
    async with machine() as stack:
        for _ in range(RUNS):
            for make, rates in ((seed, theirs), (ours, mine)):
                async with make(stack) as server:
                    result = await drive(server.port, get(f"/jobs/{server.job_id}"), seconds=SECONDS)
                    if set(result.statuses) != {200}:
                        raise RuntimeError(f"not all were answered: {result.statuses}")
                    rates.append(result.rate)
    return statistics.median(mine), statistics.median(theirs)


def figures() -> list[dict[str, Any]]:
    """The rate of GET /jobs/{id}."""
    mine, theirs = uvloop.run(_measure())
    return [
        {
            "bench": "get",
            "unit": "GET /jobs/{id} a second, 32 connections",
            "ours": round(mine),
            "peer": "seed design (FastAPI, sqlite3)",
            "peer_value": round(theirs),
            "ratio": round(mine / theirs, 2),
            "goal": f">= {GOAL:g}",
            "holds": mine >= GOAL * theirs,
        }
    ]


if __name__ == "__main__":
    for figure in figures():
        print(figure)
