"""A message from the broker, and what can be done with it."""

from collections.abc import Mapping
from typing import Any, Final

from aio_pika.abc import AbstractIncomingMessage

from services.common.logs import get_logger
from services.common.tracing import Context, from_headers

log = get_logger(__name__)

# What a call to the broker may raise: anything. aiormq ends what is under way with a bare `Exception` where the
# connection just ends, as at a proxy, and with `StopAsyncIteration` where that comes before the first word.
BROKER_ERRORS: Final = (Exception,)


class Delivery:
    """A message from a queue, and the three things that can be done with it."""

    __slots__ = ("_message",)

    def __init__(self, message: AbstractIncomingMessage) -> None:
        self._message = message

    @property
    def body(self) -> bytes:
        """The payload."""
        return self._message.body

    @property
    def headers(self) -> Mapping[str, Any]:
        """The AMQP headers."""
        return self._message.headers or {}

    @property
    def origin(self) -> Context:
        """The request and the trace that it carries; a new trace if it carries none."""
        return from_headers(self.headers)

    @property
    def routing_key(self) -> str:
        """The routing key it was published with."""
        return self._message.routing_key or ""

    @property
    def message_id(self) -> str | None:
        """The publisher's id for it."""
        return self._message.message_id

    @property
    def reply_to(self) -> str | None:
        """The queue in which an answer is awaited."""
        return self._message.reply_to

    @property
    def redelivered(self) -> bool:
        """True if it has been delivered before."""
        return bool(self._message.redelivered)

    @property
    def delivery_count(self) -> int:
        """How often it came back unacknowledged, 0 at first."""
        count = self.headers.get("x-delivery-count")
        if isinstance(count, int):
            return count
        return int(self.redelivered)

    @property
    def offset(self) -> int:
        """Its place in the stream."""
        return int(self.headers["x-stream-offset"])

    async def ack(self, *, multiple: bool = False) -> bool:
        """Done with it (`multiple`: and with all before it on this consumer)."""
        return await self._settle("ack", multiple=multiple)

    async def reject(self) -> bool:
        """Send it to the dead letters."""
        return await self._settle("reject", requeue=False)

    async def requeue(self) -> bool:
        """Give it back, to be delivered again."""
        return await self._settle("reject", requeue=True)

    async def _settle(self, how: str, **arguments: bool) -> bool:
        # The channel it came by may be gone; then the broker has it back already and will deliver it again.
        try:
            await getattr(self._message, how)(**arguments)
        except BROKER_ERRORS as error:
            log.info("delivery_lost", routing_key=self.routing_key, action=how, error=repr(error))
            return False
        return True
