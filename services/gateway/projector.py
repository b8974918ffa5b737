"""From the broker's events to the rows: many in one transaction, acknowledged when that is on disk.

Progress comes by a queue of its own, is acknowledged by nobody, and only the newest of each run is written.
"""

import asyncio
from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext
from random import uniform
from typing import Any, Final

import anyio
from pydantic import ValidationError

from services.common import telemetry, topology, tracing
from services.common.bus import Bus, Delivery
from services.common.logs import get_logger
from services.common.messages import EVENTS, TERMINAL_EVENTS
from services.common.projection import Verdict
from services.gateway.store.engine import StoreUnavailableError
from services.gateway.store.events import apply_events
from services.gateway.store.store import Store

log = get_logger(__name__)

_PREFETCH: Final = 1000
_MAX_BATCH: Final = 250
# Progress that comes sooner after the last waits for more of its kind: one row then takes one write for several events.
# The first of a job that has the machine to itself is seen at once.  Who polls is promised what is two seconds old.
_PROGRESS_EVERY_S: Final = 0.6
_BACKOFF_S: Final = (0.1, 5.0)

Event = dict[str, Any]


def decode(body: bytes) -> Event | None:
    """The event in a message as plain JSON in the API's own forms, None if it is not one."""
    try:
        return EVENTS.validate_json(body).model_dump(mode="json")
    except ValidationError:
        return None


class Projector:
    """Applies events.  `run` belongs in the service's task group."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._waiting: list[tuple[Delivery, Event | None]] = []
        self._progress: dict[tuple[str, int], Event] = {}
        self._hears_progress = asyncio.Event()
        self._arrived = asyncio.Event()
        self._urgent = asyncio.Event()

    @property
    def idle(self) -> bool:
        """True if every event that has arrived is on disk, but for progress."""
        return not self._waiting

    @property
    def listening(self) -> bool:
        """True while progress comes here; if not, who makes some is not heard."""
        return self._hears_progress.is_set()

    async def run(self) -> None:
        """Apply events until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._consume)
            tasks.start_soon(self._consume_progress)
            await self._apply_all()

    async def _consume(self) -> None:
        await self._bus.consume(topology.GATEWAY_QUEUE, self._take, prefetch=_PREFETCH)

    async def _consume_progress(self) -> None:
        await self._bus.consume(
            topology.GATEWAY_PROGRESS_QUEUE,
            self._take_progress,
            prefetch=_PREFETCH,
            no_ack=True,
            listening=self._hears_progress,
        )

    def _take(self, delivery: Delivery) -> None:
        event = decode(delivery.body)
        if event is None:
            log.warning("event_unreadable", routing_key=delivery.routing_key)
        else:
            event["origin"] = delivery.origin.encode()
            if event["type"] in TERMINAL_EVENTS:
                self._progress.pop(_run_of(event), None)
        self._waiting.append((delivery, event))
        self._urgent.set()
        self._arrived.set()

    def _take_progress(self, delivery: Delivery) -> None:
        event = decode(delivery.body)
        if event is None:
            log.warning("event_unreadable", routing_key=delivery.routing_key)
            return
        self._progress[_run_of(event)] = event
        self._arrived.set()

    async def _apply_all(self) -> None:
        clock = asyncio.get_running_loop().time
        progress_at = clock() - _PROGRESS_EVERY_S
        while True:
            await self._arrived.wait()
            try:
                async with asyncio.timeout_at(progress_at + _PROGRESS_EVERY_S):
                    await self._urgent.wait()
            except TimeoutError:
                pass
            self._arrived.clear()
            self._urgent.clear()
            batch = self._waiting[:_MAX_BATCH]
            progress, self._progress = self._progress, {}
            if progress:
                progress_at = clock()
            await self._apply([*(event for _, event in batch if event is not None), *progress.values()])
            if batch:
                del self._waiting[: len(batch)]
                await batch[-1][0].ack(multiple=True)
            if self._waiting:
                self._arrived.set()
                self._urgent.set()

    async def _apply(self, events: Sequence[Event]) -> None:
        todo, pause = events, _BACKOFF_S[0]
        while todo:
            results = await asyncio.gather(*(self._write(event) for event in todo), return_exceptions=True)
            again: list[Event] = []
            for event, result in zip(todo, results, strict=True):
                if isinstance(result, StoreUnavailableError):
                    again.append(event)
                elif isinstance(result, BaseException):
                    # It would never fare better, and those behind it are not to wait for ever.
                    log.error("event_not_applied", job_id=event["job_id"], type=event["type"], error=repr(result))
            todo = again
            if todo:
                await asyncio.sleep(uniform(pause / 2, pause))
                pause = min(pause * 2, _BACKOFF_S[1])

    async def _write(self, event: Event) -> None:
        if event["type"] == "job.progress":
            await self._store.write(apply_events, event)
            return
        with tracing.bound(tracing.decode(event["origin"])), _span(event):
            verdict = await self._store.write(apply_events, event)
            about = {name: event[name] for name in ("type", "job_id", "attempt", "tenant")}
            if verdict is Verdict.APPLY:
                log.info("event_applied", **about)
            else:
                log.debug("event_ignored", **about, verdict=verdict.value)


def _run_of(event: Event) -> tuple[str, int]:
    return event["job_id"], event["attempt"]


def _span(event: Event) -> AbstractContextManager[object]:
    """The end of a job is recorded, its steps are not."""
    if event["type"] not in TERMINAL_EVENTS:
        return nullcontext()
    return telemetry.span(f"apply {event['type']}", "consumer", job_id=event["job_id"], attempt=event["attempt"])
