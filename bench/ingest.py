"""POST /jobs at 32 connections: a durable 201, beside the seed design on the same broker."""

import statistics
from typing import Any

import uvloop

from bench.api.load import Result, drive, post
from bench.api.servers import JOB, machine, ours, seed

SECONDS = 8.0
RUNS = 3
GOAL = 4.0


async def _measure() -> tuple[list[Result], list[Result]]:
    """Results of ours and of the seed's, in turn, so that what else the machine does meets both."""
    mine: list[Result] = []
    theirs: list[Result] = []
    async with machine() as stack:
        for _ in range(RUNS):
            for make, results in ((seed, theirs), (ours, mine)):
                async with make(stack) as server:
                    result = await drive(server.port, post("/jobs", JOB), seconds=SECONDS)
                    if set(result.statuses) != {201}:
                        raise RuntimeError(f"not all were accepted: {result.statuses}")
                    results.append(result)
    return mine, theirs


def figures() -> list[dict[str, Any]]:
    """Rate and latency of POST /jobs."""
    mine, theirs = uvloop.run(_measure())
    rate, seed_rate = (statistics.median(result.rate for result in results) for results in (mine, theirs))
    p99 = statistics.median(result.p99_ms for result in mine)
    median = statistics.median(result.median_ms for result in theirs)
    return [
        {
            "bench": "ingest",
            "unit": "POST /jobs a second, 32 connections",
            "ours": round(rate),
            "peer": "seed design (FastAPI, sqlite3, a publish a request)",
            "peer_value": round(seed_rate),
            "ratio": round(rate / seed_rate, 2),
            "goal": f">= {GOAL:g}",
            "holds": rate >= GOAL * seed_rate,
        },
        {
            "bench": "ingest",
            "unit": "ms, our p99 beside the seed's median",
            "ours": round(p99, 1),
            "peer": "seed design, median",
            "peer_value": round(median, 1),
            "ratio": round(p99 / median, 2),
            "goal": "< 1",
            "holds": p99 < median,
        },
    ]


if __name__ == "__main__":
    for figure in figures():
        print(figure)
