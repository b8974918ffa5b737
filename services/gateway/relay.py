"""From the outbox to the broker: in order, in batches, nothing forgotten before it is confirmed."""

import asyncio
from collections.abc import Sequence
from functools import lru_cache
from random import uniform
from typing import Final

import anyio
import orjson

from services.common import telemetry, topology, tracing
from services.common.batch import Outgoing, field_table
from services.common.bus import Bus, PublishError, UnroutableError
from services.common.logs import get_logger
from services.common.telemetry import Span
from services.gateway.store.engine import StoreUnavailableError
from services.gateway.store.outbox import OutboxMessage, delete_sent, next_messages
from services.gateway.store.store import Store
from services.gateway.store.writer import Committed

log = get_logger(__name__)

BATCH: Final = 256
_BACKOFF_S: Final = (0.05, 5.0)
# How often to look without being told to: for what another gateway on the same database left behind.
_LOOK_S: Final = 1.0
_CONFIRM_TIMEOUT_S: Final = 10.0
_MESSAGING: Final = {"messaging.system": "rabbitmq", "messaging.destination.name": topology.JOBS}


def _prepared(message: OutboxMessage) -> tuple[Outgoing, Span | None]:
    """What goes to the broker; and where spans are wanted that of asking for work, which what is done stands below."""
    headers = _headers(message.origin)
    span = None
    recorder = telemetry.recorder()
    if recorder is not None and message.exchange == topology.JOBS:
        context = tracing.decode(message.origin) if message.origin else None
        span = recorder.start(f"publish {topology.JOBS}", context, "producer", _MESSAGING)
        headers = field_table(span.context.headers())
    return Outgoing(message.exchange, message.routing_key, message.body, headers), span


@lru_cache(maxsize=64)  # a job's messages come one after the other
def _headers(origin: str | None) -> bytes:
    return field_table(orjson.loads(origin)) if origin else b""


def _end(span: Span | None, result: PublishError | None) -> None:
    if span is None:
        return
    if result is not None:
        span.fail(type(result).__name__)
    span.end()


class Relay:
    """Sends what is in the outbox.  `run` belongs in the service's task group.

    On a database of its own it goes on to the next messages while the confirmed ones are being forgotten, along
    with other transactions.  On a shared one it forgets them first, for another gateway may be the next to send.
    """

    def __init__(self, store: Store, bus: Bus) -> None:
        self._store = store
        self._bus = bus
        self._wake = asyncio.Event()
        self._wake.set()
        self._after = 0  # all up to this number are confirmed, though perhaps not forgotten yet
        self._confirmed: list[int] = []
        self._some_confirmed = asyncio.Event()
        store.on_commit(self._committed)

    def _committed(self, commit: Committed) -> None:
        if commit.messages:
            self._wake.set()

    async def run(self) -> None:
        """Send until cancelled."""
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._forget_confirmed)
            await self._send_all()

    async def _send_all(self) -> None:
        pause = _BACKOFF_S[0]
        while True:
            await self._bus.wait_connected()
            try:
                done = await self._send_batch()
            except (StoreUnavailableError, PublishError) as error:
                log.warning("relay_interrupted", error=repr(error), retry_in_s=round(pause, 2))
                await asyncio.sleep(uniform(pause / 2, pause))
                pause = min(pause * 2, _BACKOFF_S[1])
                continue
            pause = _BACKOFF_S[0]
            if done:
                await self._until_woken()

    async def _until_woken(self) -> None:
        try:
            async with asyncio.timeout(_LOOK_S if self._store.shared else None):
                await self._wake.wait()
        except TimeoutError:
            return

    async def _send_batch(self) -> bool:
        """Send the oldest messages; True if that was all there was.

        Raises:
            PublishError: one was not confirmed; it and all after it will be tried again.
        """
        async with self._store.claim("relay") as ours:
            self._wake.clear()
            if not ours:  # another gateway is sending, and will come to our messages too
                return True
            messages = await self._store.read(next_messages, self._after, BATCH)
            if not messages:
                return True
            sending = [_prepared(message) for message in messages]
            results = await self._bus.publish_batch([outgoing for outgoing, _ in sending], timeout_s=_CONFIRM_TIMEOUT_S)
            for (_, span), result in zip(sending, results, strict=True):
                _end(span, result)
            sent = [message.id for message, result in zip(messages, results, strict=True) if result is None]
            if len(sent) < len(messages) or self._store.shared:
                await self._forget(sent)
            else:
                self._confirmed += sent
                self._some_confirmed.set()
                self._after = max([self._after, *sent])
        await self._raise_first(results)
        return len(messages) < BATCH

    async def _forget(self, sent: list[int]) -> None:
        if sent:
            await self._store.write(delete_sent, sent)

    async def _forget_confirmed(self) -> None:
        """Forget what was confirmed, when a transaction is made anyway.

        A crash before that sends some messages twice, which their readers are made for.
        """
        while True:
            await self._some_confirmed.wait()
            sent, self._confirmed = self._confirmed, []
            self._some_confirmed.clear()
            while True:
                try:
                    await self._store.write(delete_sent, sent, patient=True)
                except StoreUnavailableError:
                    await asyncio.sleep(_BACKOFF_S[1])
                else:
                    break

    async def _raise_first(self, results: Sequence[PublishError | None]) -> None:
        failures = [result for result in results if result is not None]
        if not failures:
            return
        if any(isinstance(failure, UnroutableError) for failure in failures):
            # Somebody has deleted a queue; make it again, so that the next try finds it.
            await self._bus.declare()
        raise failures[0]
