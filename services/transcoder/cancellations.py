"""Which attempts of which jobs are to be stopped, followed from the control stream.

The stream keeps the cancellations of the last days, so a transcoder that starts now knows of every job that was
cancelled while its message lay in the queue, also when the gateway is down.
"""

import asyncio
from collections import OrderedDict
from collections.abc import Callable
from typing import Final
from uuid import uuid4

from pydantic import ValidationError

from services.common import topology, tracing
from services.common.bus import Bus, Delivery, PublishError
from services.common.logs import get_logger
from services.common.messages import CancelMessage

log = get_logger(__name__)

_MOST: Final = 100_000
_PREFETCH: Final = 500


class Cancellations:
    """The cancellations known so far, newest kept."""

    def __init__(self, bus: Bus, on_cancel: Callable[[CancelMessage], None]) -> None:
        """`on_cancel` hears of each cancellation, old ones too."""
        self._bus = bus
        self._on_cancel = on_cancel
        self._known: OrderedDict[str, CancelMessage] = OrderedDict()
        self._sync_id = f"sync-{uuid4()}"
        self._synced = asyncio.Event()

    async def run(self) -> None:
        """Follow the stream until cancelled; from its beginning again after a loss, as it is small."""
        await self._bus.consume(topology.CONTROL_STREAM, self._take, prefetch=_PREFETCH, offset="first")

    async def wait_synced(self) -> None:
        """Return when every cancellation made before this call is known."""
        while not self._synced.is_set():
            await self._bus.wait_connected()
            try:
                # Straight into the stream: our own mark, which everybody else skips.
                await self._bus.publish("", topology.CONTROL_STREAM, b"{}", message_id=self._sync_id)
            except PublishError as error:
                log.info("cancellations_sync_failed", error=repr(error))
                await asyncio.sleep(1)
                continue
            try:
                async with asyncio.timeout(10):
                    await self._synced.wait()
            except TimeoutError:
                log.warning("cancellations_sync_slow")

    def find(self, job_id: str, attempt: int) -> CancelMessage | None:
        """The cancellation that covers this attempt, if there is one."""
        known = self._known.get(job_id)
        return known if known is not None and attempt <= known.attempt else None

    def _take(self, delivery: Delivery) -> None:
        # A stream's consumer acknowledges only to be sent more.
        self._bus.spawn(delivery.ack())
        if delivery.message_id == self._sync_id:
            self._synced.set()
            return
        if not delivery.routing_key.startswith("job.cancel."):
            return
        try:
            message = CancelMessage.model_validate_json(delivery.body)
        except ValidationError as error:
            log.warning("cancel_message_invalid", errors=error.error_count())
            return
        before = self._known.pop(message.job_id, None)
        if before is not None and before.attempt > message.attempt:
            message = before
        self._known[message.job_id] = message
        if len(self._known) > _MOST:
            self._known.popitem(last=False)
        with tracing.bound(delivery.origin):  # of the request to cancel, not of the one that made the job
            self._on_cancel(message)
