"""How much waits, measured every few seconds for the metrics."""

import asyncio
from datetime import datetime
from typing import Final

from services.common import metrics
from services.common.jobs import now
from services.gateway.store.engine import StoreUnavailableError
from services.gateway.store.reads import backlog
from services.gateway.store.store import Store

_EVERY_S: Final = 5.0


def age(moment: str | None) -> float:
    """Seconds since `moment`, 0 if there is none."""
    return max(0.0, (now() - datetime.fromisoformat(moment)).total_seconds()) if moment else 0.0


async def measure(store: Store) -> None:
    """Measure until cancelled."""
    while True:
        try:
            waiting = await store.read(backlog)
        except StoreUnavailableError:
            pass  # the requests that meet it say so
        else:
            metrics.QUEUE_DEPTH.set({}, waiting.depth)
            metrics.QUEUE_AGE.set({}, age(waiting.oldest))
            metrics.OUTBOX_BACKLOG.set({}, waiting.outbox)
            metrics.OUTBOX_AGE.set({}, age(waiting.outbox_oldest))
        await asyncio.sleep(_EVERY_S)
