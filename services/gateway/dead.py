"""From the broker's dead letters to the end of their jobs."""

import asyncio
from collections.abc import Mapping
from random import uniform
from typing import Any, Final

import anyio
import orjson
from pydantic import ValidationError

from services.common import metrics, topology, tracing
from services.common.bus import Bus, Delivery
from services.common.errors import ErrorCode
from services.common.jobs import DEFAULT_TENANT
from services.common.logs import get_logger
from services.common.messages import WorkMessage
from services.gateway.reading import JOB_ID
from services.gateway.store.dead import DeadMessage, bury
from services.gateway.store.engine import StoreRefusedError, StoreUnavailableError
from services.gateway.store.store import Store

log = get_logger(__name__)

_PREFETCH: Final = 100
_BACKOFF_S: Final = (0.2, 5.0)
_MAX_DELIVERIES: Final = topology.DELIVERY_LIMIT + 1
_MAX_KEY: Final = 255


def read_dead(body: bytes, routing_key: str, headers: Mapping[str, Any], origin: str | None = None) -> DeadMessage:
    """What a dead letter says, however little that is."""
    deliveries = headers.get("x-delivery-count")
    count = deliveries if isinstance(deliveries, int) else 0
    key = routing_key[:_MAX_KEY]
    try:
        work = WorkMessage.model_validate_json(body)
    except ValidationError:
        code, job_id = ErrorCode.BAD_MESSAGE, _job_id(body)
        return DeadMessage(body, key, code, DEFAULT_TENANT, job_id, None, _MAX_DELIVERIES, origin)
    last = work.attempt + work.deliveries + min(count, _MAX_DELIVERIES)
    return DeadMessage(body, key, ErrorCode.WORKER_LOST, work.tenant, work.job_id, work, last, origin)


def _job_id(body: bytes) -> str | None:
    try:
        job_id = orjson.loads(body)["job_id"]
    except (orjson.JSONDecodeError, TypeError, LookupError):
        return None
    return job_id if isinstance(job_id, str) and JOB_ID.match(job_id) else None


def first_death(headers: Mapping[str, Any]) -> str:
    """Why the broker gave the message up: `rejected` by a worker, `delivery_limit`, or another of its words."""
    deaths = headers.get("x-death")
    if isinstance(deaths, list) and deaths and isinstance(deaths[0], Mapping):
        return str(deaths[0].get("reason", "unknown"))
    return "unknown"


class Undertaker:
    """Takes dead letters.  `run` belongs in the service's task group."""

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._waiting: list[Delivery] = []
        self._arrived = asyncio.Event()

    async def run(self) -> None:
        """Take dead letters until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._consume)
            while True:
                await self._arrived.wait()
                self._arrived.clear()
                while self._waiting:
                    with tracing.bound(self._waiting[0].origin):
                        await self._bury(self._waiting[0])
                    await self._waiting.pop(0).ack()

    async def _consume(self) -> None:
        await self._bus.consume(topology.GATEWAY_DEAD_QUEUE, self._take, prefetch=_PREFETCH)

    def _take(self, delivery: Delivery) -> None:
        self._waiting.append(delivery)
        self._arrived.set()

    async def _bury(self, delivery: Delivery) -> None:
        message = read_dead(delivery.body, delivery.routing_key, delivery.headers, tracing.encoded())
        pause = _BACKOFF_S[0]
        while True:
            try:
                await self._store.write(bury, message)
            except StoreUnavailableError:
                await asyncio.sleep(uniform(pause / 2, pause))
                pause = min(pause * 2, _BACKOFF_S[1])
                continue
            except StoreRefusedError:
                log.exception("dead_letter_not_kept", job_id=message.job_id)
            break
        reason = first_death(delivery.headers)
        if reason != "rejected":  # those are counted by the worker that rejects them
            metrics.DEAD_LETTERS.inc({"code": message.code.value})
        about = {"job_id": message.job_id, "attempt": message.attempt, "tenant": message.tenant}
        log.warning("message_dead", **about, code=message.code.value, reason=reason)
