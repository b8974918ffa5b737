"""The event stream, from the broker to the hub: every message once, in order, or a clean new beginning.

After a loss of the connection the last message is read again and compared, so that a stream that was made anew, or
has lost what came next, is never taken for the continuation of the old one.  Offsets rise but have holes, which say
nothing: the broker gives some to notes of its own.
"""

import asyncio
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from datetime import UTC, datetime, timedelta
from typing import Final

import anyio
import orjson
from aio_pika.abc import AbstractIncomingMessage

from services.common import telemetry, tracing
from services.common.bus import BROKER_ERRORS, Bus, Delivery, StreamOffset
from services.common.logs import get_logger
from services.common.messages import TERMINAL_EVENTS
from services.common.topology import EVENTS_STREAM
from services.notifier.cursors import ORIGIN, fingerprint
from services.notifier.driver import Driver

log = get_logger(__name__)

_PREFETCH: Final = 1000
_ACK_EVERY: Final = 250
# The whole of what the stream keeps: no use looking up where it begins.
_RETENTION_S: Final = 86_400.0
# A stream that holds anything answers at once; this is how long it is given to show that it is not empty.
_EMPTY_AFTER_S: Final = 1.0
# After a new subscription the last message known has to come again within this time.
_OVERLAP_WITHIN_S: Final = 10.0
_RETRY_S: Final = 0.5
_PROGRESS: Final = "job.progress."


class Discontinuity(Exception):  # noqa: N818 -- something the stream does, not an error of ours
    """What the broker delivers does not follow what came before."""


class Feed:
    """Keeps the hub fed."""

    def __init__(self, bus: Bus, driver: Driver, *, warm_up_s: float, warm_up_events: int) -> None:
        self._bus = bus
        self._driver = driver
        self._warm_up_s = warm_up_s
        self._warm_up_events = warm_up_events
        self.caught_up = asyncio.Event()

    async def run(self) -> None:
        """Follow the stream until cancelled."""
        while True:
            follower = Follower(self._bus, self._driver)
            last = await self._last_message()
            log.info("stream_warm_up", last_offset=last[0] if last else None)
            try:
                async with anyio.create_task_group() as tasks:
                    tasks.start_soon(follower.run, self._beginning(last))
                    await follower.reached(last[0] if last else -1)
                    self.caught_up.set()
                    log.info("stream_caught_up", offset=self._driver.position.offset)
            except* Discontinuity:
                pass  # said where it was found; what follows is the answer to it
            self.caught_up.clear()
            self._driver.stream_changed()

    def _beginning(self, last: tuple[int, bytes] | None) -> StreamOffset:
        """Where to begin reading, to know the last `warm_up_s` seconds, or the last `warm_up_events` messages."""
        if last is None:
            return "first"
        offset, body = last
        if offset > self._warm_up_events:
            return offset - self._warm_up_events
        if self._warm_up_s >= _RETENTION_S:
            return "first"
        since = datetime.now(UTC) - timedelta(seconds=self._warm_up_s)
        # Nothing would be delivered for a time past the last message, and then nothing could be caught up with.
        return since if _time_of(body) > since else offset

    async def _last_message(self) -> tuple[int, bytes] | None:
        """A message near the end of the stream, with its offset; None if the stream is empty."""
        while True:
            await self._bus.wait_connected()
            try:
                return await peek_last(self._bus)
            except BROKER_ERRORS as error:
                log.warning("stream_not_readable", error=repr(error))
            await asyncio.sleep(_RETRY_S)


class Follower:
    """Reads the stream once through, from a beginning on, for as long as it goes on without a break."""

    def __init__(self, bus: Bus, driver: Driver) -> None:
        self._bus = bus
        self._driver = driver
        self._broken: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._overlap_due: float | None = None
        self._latest: Delivery | None = None
        self._unacknowledged = 0
        self._acknowledge = asyncio.Event()
        self._target: int | None = None
        self._reached = asyncio.Event()

    async def run(self, beginning: StreamOffset) -> None:
        """Feed the hub until cancelled.

        Raises:
            Discontinuity: the stream no longer continues what has been read.
        """
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(self._consume, beginning)
            tasks.start_soon(self._acknowledge_all)
            tasks.start_soon(self._watch_overlap)
            await self._broken

    async def reached(self, offset: int) -> None:
        """Return when the stream has been read up to `offset`."""
        self._target = offset
        if self._driver.position.offset >= offset:
            self._reached.set()
        await self._reached.wait()

    async def _consume(self, beginning: StreamOffset) -> None:
        def where() -> StreamOffset:
            position = self._driver.position
            if position == ORIGIN:
                return beginning
            self._overlap_due = asyncio.get_running_loop().time() + _OVERLAP_WITHIN_S
            return position.offset

        await self._bus.consume(EVENTS_STREAM, self._handle, prefetch=_PREFETCH, offset=where)

    def _handle(self, delivery: Delivery) -> None:
        if self._broken.done():
            return
        self._latest = delivery
        self._unacknowledged += 1
        if self._unacknowledged >= _ACK_EVERY:
            self._acknowledge.set()
        offset, body, position = delivery.offset, delivery.body, self._driver.position
        if self._overlap_due is not None:
            self._overlap_due = None
            if (offset, fingerprint(body)) != position:
                self._break(f"offset {offset} came where {position.offset} was to come again")
            return
        if offset <= position.offset:
            self._break(f"offset {offset} came after {position.offset}")
            return
        try:
            if not self._reached.is_set() or delivery.routing_key.startswith(_PROGRESS):
                self._driver.feed(offset, body)
            else:
                self._feed_and_tell(delivery, offset, body)
        except Exception:
            # One event that nobody foresaw must not take the channel from everybody; it is passed over, and said.
            log.exception("event_failed", offset=offset)
        if self._target is not None and offset >= self._target:
            self._reached.set()

    def _feed_and_tell(self, delivery: Delivery, offset: int, body: bytes) -> None:
        """For the steps of a job as they happen: neither its progress, nor what is read again at the start."""
        type_ = ".".join(delivery.routing_key.split(".", 2)[:2])  # job.completed.{tenant}.{job_id}
        with tracing.bound(delivery.origin), _span(type_):
            event = self._driver.feed(offset, body)
            if event is not None:
                about = {"job_id": event.job_id, "attempt": event.attempt, "tenant": event.tenant}
                log.info("event_pushed", type=type_, **about)

    def _break(self, reason: str) -> None:
        if not self._broken.done():
            log.warning("stream_changed", reason=reason)
            self._broken.set_exception(Discontinuity(reason))

    async def _acknowledge_all(self) -> None:
        """To a stream an acknowledgement means: send more."""
        while True:
            await self._acknowledge.wait()
            self._acknowledge.clear()
            self._unacknowledged = 0
            if self._latest is not None:
                await self._latest.ack(multiple=True)

    async def _watch_overlap(self) -> None:
        """A stream that is shorter now would keep silent until it is as long as the old one was."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(1)
            if self._overlap_due is not None and loop.time() > self._overlap_due and self._bus.connected:
                self._break("the last message known is not in the stream any more")


def _span(type_: str) -> AbstractContextManager[object]:
    """The push of a job's end is recorded, that of its steps is not."""
    return telemetry.span(f"push {type_}", "consumer") if type_ in TERMINAL_EVENTS else nullcontext()


async def read_stream(
    bus: Bus, offset: StreamOffset, enough: Callable[[int, bytes], bool], *, timeout_s: float
) -> bool:
    """Read the stream from `offset`, on a channel of its own, until `enough(offset, body)` is true for a message.

    Returns:
        False if the time was over before.

    Raises:
        PublishError, BROKER_ERRORS: the broker is gone.
    """
    channel = await bus.channel()
    done = asyncio.Event()
    lost = asyncio.Event()
    channel.close_callbacks.add(lambda *_: lost.set())
    taken = 0

    async def on_message(message: AbstractIncomingMessage) -> None:
        nonlocal taken
        if done.is_set():
            return
        delivery = Delivery(message)
        taken += 1
        if enough(delivery.offset, delivery.body):
            done.set()
        elif taken % _ACK_EVERY == 0:
            await delivery.ack(multiple=True)

    try:
        await channel.set_qos(prefetch_count=_PREFETCH)
        queue = await channel.get_queue(EVENTS_STREAM, ensure=False)
        await queue.consume(on_message, arguments={"x-stream-offset": offset})
        async with asyncio.timeout(timeout_s):
            await _first_of(done, lost)
    except TimeoutError:
        pass
    finally:
        with anyio.CancelScope(shield=True), anyio.move_on_after(2):
            await channel.close()
    return done.is_set()


async def _first_of(*events: asyncio.Event) -> None:
    waiters = [asyncio.ensure_future(event.wait()) for event in events]
    try:
        await asyncio.wait(waiters, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for waiter in waiters:
            waiter.cancel()


async def peek_last(bus: Bus) -> tuple[int, bytes] | None:
    """The first message of the stream's last chunk, with its offset; None if the stream is empty."""
    seen: list[tuple[int, bytes]] = []

    def take(offset: int, body: bytes) -> bool:
        seen.append((offset, body))
        return True

    await read_stream(bus, "last", take, timeout_s=_EMPTY_AFTER_S)
    return seen[0] if seen else None


def _time_of(body: bytes) -> datetime:
    """When a message says it was made; long ago, if it doesn't say."""
    try:
        return datetime.fromisoformat(orjson.loads(body)["time"]).astimezone(UTC)
    except (ValueError, TypeError, KeyError):
        return datetime.min.replace(tzinfo=UTC)
