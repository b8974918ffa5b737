"""The broker, over aio-pika: one supervised connection, confirmed publishing, consumers that come back.

aio-pika's own robust classes restore what they find in weak sets; here nothing is restored, everything is made
again: after any loss the connection is opened anew, the topology declared, and each consumer subscribes afresh on a
channel of its own.  What was unacknowledged then comes back from the broker.
"""

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from datetime import datetime
from random import uniform
from typing import Any, Final

import aio_pika
import aiormq
import anyio
from aio_pika.abc import AbstractChannel, AbstractConnection, AbstractIncomingMessage
from aiormq.exceptions import ChannelNotFoundEntity, DeliveryError
from aiormq.exceptions import PublishError as _AiormqPublishError
from pamqp.commands import Basic
from pamqp.common import FieldTable

from services.common import metrics, topology, tracing
from services.common.batch import Outgoing, publish_batch
from services.common.delivery import BROKER_ERRORS, Delivery
from services.common.logs import get_logger

__all__ = [
    "BROKER_ERRORS",
    "HEARTBEAT_S",
    "Bus",
    "Delivery",
    "PublishError",
    "StreamOffset",
    "UnroutableError",
    "declare_queue",
]

log = get_logger(__name__)

HEARTBEAT_S: Final = 15
_CONNECT_TIMEOUT_S: Final = 10.0
_CLOSE_TIMEOUT_S: Final = 2.0
_BACKOFF_S: Final = (0.1, 5.0)  # first and longest pause between attempts, each jittered

StreamOffset = str | int | datetime


class PublishError(Exception):
    """The broker has not confirmed the message; it may or may not have it."""


class UnroutableError(PublishError):
    """No queue would take the message: it is certain that nobody has it."""


class _Connection(aio_pika.Connection):
    """One that is closed if it could not be opened.

    What the library does not know to be closed it closes when the garbage collector finds it, at any time and place.
    """

    async def connect(self, *args: Any, **kwargs: Any) -> None:
        try:
            await super().connect(*args, **kwargs)
        except BaseException:
            await self.close()
            raise


class Bus:
    """A service's line to the broker.  `run` must be running for anything else to work."""

    def __init__(self, url: str, *, name: str) -> None:
        """`url` is an amqp:// URL, `name` what the broker's operator sees of this connection."""
        self._url = url
        self._name = name
        self._connection: AbstractConnection | None = None
        self._publisher: AbstractChannel | None = None
        self._publisher_lock = asyncio.Lock()
        self._common_lock = asyncio.Lock()
        self._batcher: AbstractChannel | None = None
        self._common: AbstractChannel | None = None
        self._up = asyncio.Event()
        self._spawned: set[asyncio.Task[Any]] = set()

    def spawn(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Run a short `coroutine`, such as an ack, from a handler that must not wait."""
        task = asyncio.get_running_loop().create_task(coroutine)
        self._spawned.add(task)
        task.add_done_callback(self._spawned.discard)

    @property
    def connected(self) -> bool:
        """True while the connection is up and the topology declared."""
        return self._up.is_set()

    async def fault(self) -> str | None:
        """For readiness: what is wrong with the connection, None if nothing is."""
        return None if self.connected else "not connected to the broker"

    async def wait_connected(self) -> None:
        """Return when the connection is up and the topology declared."""
        await self._up.wait()

    async def run(self) -> None:
        """Keep the connection up until cancelled."""
        pause = _BACKOFF_S[0]
        while True:
            try:
                await self._connect()
            except BROKER_ERRORS as error:
                log.warning("broker_unreachable", error=repr(error), retry_in_s=round(pause, 1))
                await self._close()
                await asyncio.sleep(uniform(pause / 2, pause))
                pause = min(pause * 2, _BACKOFF_S[1])
                continue
            except BaseException:
                await self._close()
                raise
            pause = _BACKOFF_S[0]
            try:
                await self._until_closed()
            finally:
                self._up.clear()
                metrics.BROKER_CONNECTED.set({}, 0)
                await self._close()
            metrics.BROKER_RECONNECTS.inc({})

    async def publish(
        self,
        exchange: str,
        routing_key: str,
        body: bytes,
        *,
        headers: Mapping[str, Any] | None = None,
        message_id: str | None = None,
        reply_to: str | None = None,
        persistent: bool = True,
        timeout_s: float = 10.0,
    ) -> None:
        """Publish a message and wait until the broker has it safe in at least one queue.

        Args:
            exchange: the exchange's name; empty for straight to the queue named by `routing_key`.
            routing_key: as the bindings read it.
            body: the payload, JSON.
            headers: AMQP headers, beside those of the present context (see `tracing`).
            message_id: for readers that remember what they have seen.
            reply_to: the queue in which an answer, under the same `message_id`, is awaited.
            persistent: False if queues that are neither quorum queues nor streams need not write it to disk.
            timeout_s: how long to wait for the confirmation.

        Raises:
            UnroutableError: no queue is bound for it; nobody has it.
            PublishError: not connected, refused, or no confirmation in time; somebody may have it.
        """
        properties = Basic.Properties(
            content_type="application/json",
            delivery_mode=2 if persistent else 1,
            headers={**tracing.headers(), **(headers or {})} or None,
            message_id=message_id,
            reply_to=reply_to,
        )
        try:
            async with asyncio.timeout(timeout_s):
                channel = await self._publishing_channel()
                # wait=False: the confirmation is waited for, so waiting for the socket too would only serialise.
                confirmation = await channel.basic_publish(
                    body,
                    exchange=exchange,
                    routing_key=routing_key,
                    properties=properties,
                    mandatory=True,
                    wait=False,
                )
        except _AiormqPublishError as error:
            raise UnroutableError(f"no queue takes {routing_key} of {exchange}") from error
        except DeliveryError as error:
            raise PublishError(f"refused by the broker: {error!r}") from error
        except BROKER_ERRORS as error:
            raise PublishError(repr(error)) from error
        if not isinstance(confirmation, Basic.Ack):
            raise PublishError(f"not confirmed: {confirmation!r}")

    async def publish_batch(
        self, messages: Sequence[Outgoing], *, timeout_s: float = 10.0
    ) -> list[PublishError | None]:
        """Publish as `publish` does, all of `messages` at once and in order; for each, what `publish` would raise.

        Only one batch may be under way at a time.
        """
        try:
            async with asyncio.timeout(timeout_s):
                if self._batcher is None or self._batcher.is_closed:
                    self._batcher = await self.channel()
                underlay: Any = await self._batcher.get_underlay_channel()
            outcomes = await publish_batch(underlay, messages, timeout_s)
        except PublishError as error:
            return [error] * len(messages)
        except BROKER_ERRORS as error:
            return [PublishError(repr(error))] * len(messages)
        return [_as_publish_error(outcome) for outcome in outcomes]

    async def consume(
        self,
        queue: str,
        handler: Callable[[Delivery], None],
        *,
        prefetch: int,
        offset: StreamOffset | Callable[[], StreamOffset] | None = None,
        no_ack: bool = False,
        listening: asyncio.Event | None = None,
    ) -> None:
        """Hand every delivery of `queue` to `handler`, in order, until cancelled.

        Survives the loss of channel, connection and queue.  A cancelled consumer takes no more, but what it has
        taken may still be settled: its channel stays open as long as the connection does.

        Args:
            queue: one of the topology's queues.
            handler: called synchronously for each delivery; must not block.
            prefetch: deliveries that may be unsettled at a time.
            offset: for streams, where to begin; a callable is asked again at each new subscription.
            no_ack: True if deliveries are settled by being sent; what is lost on the way stays lost.
            listening: set while the queue's deliveries come here.
        """
        pause = _BACKOFF_S[0]
        listening = listening or asyncio.Event()
        while True:
            await self._up.wait()
            try:
                begin = offset() if callable(offset) else offset
                await self._consume_once(queue, handler, prefetch, begin, no_ack=no_ack, listening=listening)
                pause = _BACKOFF_S[0]
            except BROKER_ERRORS as error:
                log.warning("consumer_lost", queue=queue, error=repr(error), retry_in_s=round(pause, 1))
            await asyncio.sleep(uniform(pause / 2, pause))
            pause = min(pause * 2, _BACKOFF_S[1])

    async def declare(self) -> None:
        """Make again what is missing of the topology, as when somebody has deleted a queue.

        Raises:
            PublishError: not connected.
        """
        await _declare(self._connected())

    async def channel(self) -> AbstractChannel:
        """A new channel, for what needs one of its own.

        Raises:
            PublishError: not connected.
        """
        return await self._connected().channel()

    async def common_channel(self) -> AbstractChannel:
        """A channel for questions and answers, shared by all who ask; one refusal closes it for everybody.

        Raises:
            PublishError: not connected.
        """
        async with self._common_lock:
            if self._common is None or self._common.is_closed:
                self._common = await self.channel()
            return self._common

    def _connected(self) -> AbstractConnection:
        if self._connection is None or not self._up.is_set():
            raise PublishError("not connected")
        return self._connection

    async def _connect(self) -> None:
        url = f"{self._url}{'&' if '?' in self._url else '?'}heartbeat={HEARTBEAT_S}"
        async with asyncio.timeout(_CONNECT_TIMEOUT_S):
            self._connection = await aio_pika.connect(
                url, client_properties={"connection_name": self._name}, connection_class=_Connection
            )
            await _declare(self._connection)
        self._up.set()
        metrics.BROKER_CONNECTED.set({}, 1)
        log.info("broker_connected")

    async def _until_closed(self) -> None:
        assert self._connection is not None
        closed = asyncio.Event()
        self._connection.close_callbacks.add(lambda *_: closed.set())
        while not closed.is_set() and not self._connection.is_closed:
            # The callback is the rule; the look every few seconds is for the case it never comes.
            try:
                async with asyncio.timeout(HEARTBEAT_S):
                    await closed.wait()
            except TimeoutError:
                continue
        log.warning("broker_connection_lost")

    async def _close(self) -> None:
        connection, self._connection = self._connection, None
        self._publisher = self._batcher = self._common = None
        if connection is None:
            return
        with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
            try:
                await connection.close()
            except BROKER_ERRORS as error:
                log.debug("broker_close_failed", error=repr(error))
        if not connection.is_closed:
            # It has let go of its transport all the same; the second time it only says so.
            await connection.close()

    async def _publishing_channel(self) -> aiormq.Channel:
        async with self._publisher_lock:
            if self._publisher is None or self._publisher.is_closed:
                await self._up.wait()
                assert self._connection is not None
                self._publisher = await self._connection.channel(publisher_confirms=True, on_return_raises=True)
            underlay = await self._publisher.get_underlay_channel()
            assert isinstance(underlay, aiormq.Channel)  # the interface lacks `wait`
            return underlay

    async def _consume_once(
        self,
        name: str,
        handler: Callable[[Delivery], None],
        prefetch: int,
        offset: StreamOffset | None,
        *,
        no_ack: bool,
        listening: asyncio.Event,
    ) -> None:
        channel = await self.channel()
        lost = asyncio.Event()
        channel.close_callbacks.add(lambda *_: lost.set())
        underlay = await channel.get_underlay_channel()
        # The broker cancels the consumers of a queue that is deleted, and leaves the channel open.
        underlay.on_consumer_cancel_callbacks.add(lambda _: lost.set())
        await channel.set_qos(prefetch_count=prefetch)
        await declare_queue(channel, name)
        queue = await channel.get_queue(name, ensure=False)

        async def on_message(message: AbstractIncomingMessage) -> None:
            handler(Delivery(message))

        arguments: FieldTable | None = None if offset is None else {"x-stream-offset": offset}
        tag = await queue.consume(on_message, arguments=arguments, no_ack=no_ack)
        listening.set()
        try:
            await lost.wait()
        except asyncio.CancelledError:
            # Shielded: in a cancelled scope nothing else would get to the broker, and deliveries would go on.
            with anyio.move_on_after(_CLOSE_TIMEOUT_S, shield=True):
                try:
                    await queue.cancel(tag)
                except BROKER_ERRORS as error:
                    log.debug("consumer_cancel_failed", queue=name, error=repr(error))
            raise
        finally:
            listening.clear()
        if not channel.is_closed:
            await channel.close()
        log.warning("consumer_interrupted", queue=name)


def _as_publish_error(error: BaseException | None) -> PublishError | None:
    if error is None:
        return None
    if isinstance(error, _AiormqPublishError):
        return UnroutableError("no queue takes it")
    return PublishError(repr(error))


async def _declare(connection: AbstractConnection) -> None:
    """Declare the topology."""
    channel = await connection.channel()
    for exchange in topology.EXCHANGES:
        await channel.declare_exchange(exchange, aio_pika.ExchangeType.TOPIC, durable=True)
    for spec in topology.QUEUES:
        if spec.replicated:
            await declare_queue(channel, spec.name)
    await channel.close()
    for spec in topology.QUEUES:
        if not spec.replicated:
            channel = await connection.channel()
            try:
                await declare_queue(channel, spec.name)
                await channel.close()
            except ChannelNotFoundEntity as error:
                # Its node of the cluster is down.  The rest works without, and its consumers go on asking for it.
                log.warning("queue_out_of_reach", queue=spec.name, error=repr(error))


async def declare_queue(channel: AbstractChannel, name: str) -> None:
    """Declare the queue `name` of the topology on `channel`, with its bindings."""
    spec = topology.queue(name)
    queue = await channel.declare_queue(spec.name, durable=True, arguments=dict(spec.arguments))
    for exchange, pattern in spec.bindings:
        await queue.bind(exchange, pattern)
    for exchange, pattern in spec.former_bindings:
        await queue.unbind(exchange, pattern)
