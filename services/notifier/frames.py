"""The bytes of each kind of connection, built whole so that one buffer serves all who get the same.

WebSocket frames are RFC 6455, unmasked as a server's are; compressed ones are RFC 7692, each message deflated on
its own, which every client can read whatever it negotiated about context.
"""

import zlib
from enum import IntEnum
from typing import Final

_FIN_TEXT: Final = 0x81
_FIN_CLOSE: Final = 0x88
_FIN_PONG: Final = 0x8A
_MAX_REASON: Final = 123
_RSV1: Final = 0x40
_SHORT: Final = 126
_MEDIUM: Final = 1 << 16
_DEFLATE_TAIL: Final = b"\x00\x00\xff\xff"
# Below this a deflated message is hardly smaller, and the client spends time on it.
_DEFLATE_FROM: Final = 128

WS_PING: Final = b"\x89\x00"


class Flavour(IntEnum):
    """How a connection wants its bytes."""

    WS = 0
    WS_DEFLATE = 1
    SSE = 2
    SSE_CHUNKED = 3

    @property
    def is_sse(self) -> bool:
        """True for Server-Sent Events."""
        return self >= Flavour.SSE


def ws_text(payload: bytes, *, compressed: bool = False) -> bytes:
    """`payload` as one text frame."""
    first = _FIN_TEXT | (_RSV1 if compressed else 0)
    size = len(payload)
    if size < _SHORT:
        return bytes((first, size)) + payload
    if size < _MEDIUM:
        return bytes((first, 126)) + size.to_bytes(2) + payload
    return bytes((first, 127)) + size.to_bytes(8) + payload


def ws_payload(frame: bytes) -> bytes:
    """The payload of a frame that `ws_text` made."""
    size = frame[1]
    return frame[2 if size < _SHORT else 4 if size == _SHORT else 10 :]


def ws_deflated(payload: bytes) -> bytes:
    """`payload` as one text frame, compressed if that is worth it."""
    if len(payload) < _DEFLATE_FROM:
        return ws_text(payload)
    deflate = zlib.compressobj(level=6, wbits=-15)
    data = deflate.compress(payload) + deflate.flush(zlib.Z_SYNC_FLUSH)
    return ws_text(data.removesuffix(_DEFLATE_TAIL), compressed=True)


def sse_event(payload: bytes, cursor: str | None, *, retry_ms: int | None = None) -> bytes:
    """`payload` (JSON without line breaks) as an event of a stream; `cursor` becomes its id."""
    id_line = b"" if cursor is None else b"id: " + cursor.encode() + b"\n"
    retry_line = b"" if retry_ms is None else b"retry: %d\n" % retry_ms
    return retry_line + id_line + b"data: " + payload + b"\n\n"


def sse_beat(cursor: str | None) -> bytes:
    """A sign of life that also moves the client's last event id on, and fires no event."""
    return b": beat\n\n" if cursor is None else b": beat\nid: " + cursor.encode() + b"\n\n"


def chunk(data: bytes) -> bytes:
    """`data` as a chunk of HTTP/1.1's chunked transfer coding."""
    return b"%x\r\n%b\r\n" % (len(data), data)


def encode(flavour: Flavour, payload: bytes, cursor: str | None = None, *, retry_ms: int | None = None) -> bytes:
    """One JSON message for a connection of `flavour`."""
    if flavour is Flavour.WS:
        return ws_text(payload)
    if flavour is Flavour.WS_DEFLATE:
        return ws_deflated(payload)
    event = sse_event(payload, cursor, retry_ms=retry_ms)
    return chunk(event) if flavour is Flavour.SSE_CHUNKED else event


def beat(flavour: Flavour, cursor: str | None) -> bytes:
    """A heartbeat: a ping for a WebSocket, a comment for an event stream."""
    if not flavour.is_sse:
        return WS_PING
    event = sse_beat(cursor)
    return chunk(event) if flavour is Flavour.SSE_CHUNKED else event


def ws_close(code: int, reason: str) -> bytes:
    """A close frame."""
    payload = code.to_bytes(2) + reason.encode()[:_MAX_REASON]
    return bytes((_FIN_CLOSE, len(payload))) + payload


def ws_pong(payload: bytes) -> bytes:
    """The answer to a ping, whose `payload` a control frame holds."""
    return bytes((_FIN_PONG, len(payload))) + payload
