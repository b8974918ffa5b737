"""Many messages to the broker at once: one write for all of them, each confirmed by itself.

The client library takes some seventy microseconds of processor time for a message, most of it for objects and tasks
that a batch can do without.  Here the frames of a whole batch are put together as bytes and handed to the library's
own writer; its channel numbers them and matches the broker's confirmations, as it does for its own.
"""

import asyncio
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import count
from typing import Any, Final

import aiormq
from aiormq.abc import ChannelFrame
from pamqp.commands import Basic

_FRAME_END: Final = b"\xce"
_METHOD, _HEADER, _BODY = 1, 2, 3
_BASIC, _PUBLISH = 60, 40
_MANDATORY: Final = 1
# content-type, delivery-mode and message-id; headers, if there are any, come after the first of them.
_FLAGS: Final = 0x8000 | 0x1000 | 0x0080
_WITH_HEADERS: Final = 0x2000
_TRANSIENT, _PERSISTENT = 1, 2
_CONTENT_TYPE: Final = b"application/json"
# Larger ones would have to be cut into several frames; nothing here comes near.
MAX_BODY: Final = 64 * 1024

_frame_start = struct.Struct(">BHI").pack
_length = struct.Struct(">I").pack
_header_start = struct.Struct(">HHQH").pack
_numbers = count(1)


@dataclass(frozen=True, slots=True)
class Outgoing:
    """A message to be published, mandatory; `headers` is what `field_table` makes of them.

    One that is not `persistent` need not be written to disk by queues that are neither quorum queues nor streams.
    """

    exchange: str
    routing_key: str
    body: bytes
    headers: bytes = b""
    persistent: bool = True


def _short(text: bytes) -> bytes:
    return bytes([len(text)]) + text


@lru_cache(maxsize=256)
def _method_start(exchange: str) -> bytes:
    return struct.pack(">HHH", _BASIC, _PUBLISH, 0) + _short(exchange.encode())


def field_table(headers: Mapping[str, str]) -> bytes:
    """AMQP headers, all of them strings, as they go over the wire."""
    entries = b"".join(
        [
            _short(name.encode()) + b"S" + _length(len(value)) + value
            for name, value in ((name, text.encode()) for name, text in headers.items())
        ]
    )
    return _length(len(entries)) + entries


def encode(channel: int, message: Outgoing, message_id: bytes) -> bytes:
    """The AMQP 0-9-1 frames that publish `message` on channel number `channel`."""
    method = _method_start(message.exchange) + _short(message.routing_key.encode()) + bytes([_MANDATORY])
    header = (
        _header_start(_BASIC, 0, len(message.body), _FLAGS | _WITH_HEADERS if message.headers else _FLAGS)
        + _short(_CONTENT_TYPE)
        + message.headers
        + bytes([_PERSISTENT if message.persistent else _TRANSIENT])
        + _short(message_id)
    )
    return b"".join(
        (
            _frame_start(_METHOD, channel, len(method)),
            method,
            _FRAME_END,
            _frame_start(_HEADER, channel, len(header)),
            header,
            _FRAME_END,
            _frame_start(_BODY, channel, len(message.body)),
            message.body,
            _FRAME_END,
        )
    )


async def publish_batch(
    channel: aiormq.Channel, messages: Sequence[Outgoing], timeout_s: float
) -> list[BaseException | None]:
    """Publish `messages` in order; for each, None once the broker has it, or why that is not known.

    Args:
        channel: with confirms, and used for nothing else meanwhile.
        messages: bodies at most `MAX_BODY` bytes.
        timeout_s: for the whole batch.

    Raises:
        ChannelInvalidStateError: the channel is closed.
    """
    if channel.is_closed:
        raise aiormq.exceptions.ChannelInvalidStateError("closed")
    futures: list[asyncio.Future[Any]] = []
    frames: list[bytes] = []
    ids: list[str] = []
    for message in messages:
        channel.delivery_tag += 1
        future = channel.create_future()
        message_id = f"{next(_numbers):x}"
        channel.confirmations[channel.delivery_tag] = future
        channel.message_id_delivery_tag[message_id] = channel.delivery_tag
        futures.append(future)
        ids.append(message_id)
        frames.append(encode(channel.number, message, message_id.encode()))
    try:
        async with asyncio.timeout(timeout_s):
            # Waits while the broker has blocked the connection for want of memory or disk.
            await channel.write_queue.put(ChannelFrame(payload=b"".join(frames), should_close=False))
            await asyncio.wait(futures)
    except TimeoutError:
        # Numbers were given to messages that may never have been written: the channel cannot be used again.
        await channel.close()
    finally:
        for message_id in ids:
            channel.message_id_delivery_tag.pop(message_id, None)
    return [_outcome(future) for future in futures]


def _outcome(future: asyncio.Future[Any]) -> BaseException | None:
    if not future.done():
        future.cancel()
        return TimeoutError("no confirmation in time")
    if future.cancelled():
        return ConnectionError("the channel was closed")
    error = future.exception()
    if error is not None:
        return error
    return None if isinstance(future.result(), Basic.Ack) else ConnectionError("refused by the broker")
