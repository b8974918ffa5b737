"""From publishing an event to its arrival at a client: the broker, our notifier and a thousand sockets between."""

import asyncio
from collections.abc import Iterator
from typing import Any

import uvloop

from bench.push.clients import Tally, connect
from bench.push.crowd import crowd
from bench.push.events import body
from bench.push.measure import percentile
from bench.push.notifier import running_notifier
from services.common import topology
from services.common.bus import Bus

CLIENTS = 1000
LISTENERS = 10  # of the clients, those whose arrivals are timed
EVENTS_PER_S = 200
SECONDS = 20
MARKER = b"job.progress"
SUBSCRIBE = ['{"type":"subscribe","job_id":"*"}']
GOAL_MS = 100.0


async def _publish(bus: Bus, sent: dict[int, float]) -> None:
    """Publish at an even pace; `sent` gets the time of each event by its number."""
    loop = asyncio.get_running_loop()
    begin = loop.time()
    pending = set()
    for number in range(EVENTS_PER_S * SECONDS):
        await asyncio.sleep(max(0.0, begin + number / EVENTS_PER_S - loop.time()))
        event = body(number)
        sent[number + 1] = loop.time()
        task = asyncio.create_task(bus.publish(topology.EVENTS, "job.progress.default.bench", event))
        pending.add(task)
        task.add_done_callback(pending.discard)
    await asyncio.gather(*pending)


def _numbers(data: bytes) -> Iterator[int]:
    """The event numbers in a piece of a client's stream, which may begin or end in the middle of a frame."""
    for part in data.split(b'"seq":')[1:]:
        digits, comma, _ = part.partition(b",")
        if comma and digits.isdigit():
            yield int(digits)


async def _latencies() -> list[float]:
    async with running_notifier() as (stack, bus):
        tally = Tally(MARKER)
        port = stack.settings.notifier_port
        sent: dict[int, float] = {}
        async with crowd(CLIENTS - LISTENERS, port, SUBSCRIBE[0]):
            await connect(LISTENERS, port, tally, hellos=SUBSCRIBE, keep=LISTENERS)
            await _publish(bus, sent)
            await asyncio.sleep(1)
        late = [(arrived - sent[number]) * 1000 for arrived, data in tally.arrivals for number in _numbers(data)]
        expected = LISTENERS * EVENTS_PER_S * SECONDS
        if len(late) < 0.99 * expected:
            raise RuntimeError(f"only {len(late)} of {expected} arrivals were seen")
        return late


def _figure(share: float, milliseconds: float) -> dict[str, Any]:
    return {
        "bench": "latency",
        "unit": f"ms publish to socket, p{share * 100:.0f}, {EVENTS_PER_S} events/s, {CLIENTS} clients",
        "ours": round(milliseconds, 1),
        "peer": "goal",
        "peer_value": GOAL_MS,
        "ratio": round(milliseconds / GOAL_MS, 3),
        "goal": f"p99 < {GOAL_MS:.0f} ms",
        "holds": milliseconds < GOAL_MS,
    }


def figures() -> list[dict[str, Any]]:
    """The latency figures."""
    late = uvloop.run(_latencies())
    return [_figure(share, percentile(late, share)) for share in (0.5, 0.99)]


if __name__ == "__main__":
    for figure in figures():
        print(figure)
