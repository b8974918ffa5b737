"""Where work comes from: the trace and the request that it belongs to, carried along with it.

A trace is what W3C Trace Context says (https://www.w3.org/TR/trace-context/): the headers `traceparent` and
`tracestate`, the same over HTTP and AMQP.  Beside them goes `x-request-id`, which names one request to the gateway.
Whoever records no spans of its own hands on what it was given; a recorder (`telemetry`) puts its span in between.
"""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from random import getrandbits
from typing import Any, Final, NamedTuple

import orjson

TRACEPARENT: Final = "traceparent"
TRACESTATE: Final = "tracestate"
REQUEST_ID: Final = "x-request-id"

SAMPLED: Final = 0x01
# The bits that have a meaning (level 2 added `random-trace-id`); all others are to be sent as zero.
_KNOWN_FLAGS: Final = 0x03
_TRACEPARENT: Final = re.compile(
    r"(?!ff)([0-9a-f]{2})-(?!0{32})([0-9a-f]{32})-(?!0{16})([0-9a-f]{16})-([0-9a-f]{2})(-.*)?"
)
_MEMBER: Final = re.compile(
    r"[a-z0-9][a-z0-9_\-*/@]{0,255}=[\x20-\x2b\x2d-\x3c\x3e-\x7e]{0,255}[\x21-\x2b\x2d-\x3c\x3e-\x7e]"
)
_MOST_MEMBERS: Final = 32
_LONG_MEMBER: Final = 128
_MOST_STATE: Final = 512
_REQUEST_ID: Final = re.compile(r"[A-Za-z0-9._-]{1,64}")


class Trace(NamedTuple):
    """A place in a trace: `span_id` is the span that comes next above; ids in hexadecimal, `state` the vendors' own."""

    trace_id: str
    span_id: str
    flags: int = SAMPLED
    state: str = ""

    @property
    def traceparent(self) -> str:
        """The header, in version 00."""
        return f"00-{self.trace_id}-{self.span_id}-{self.flags & _KNOWN_FLAGS:02x}"

    def child(self, span_id: str) -> "Trace":
        """The place below the span `span_id` of the same trace."""
        return self._replace(span_id=span_id)


def parse_traceparent(text: str) -> Trace | None:
    """The place that a `traceparent` names, None if it is not one; what later versions add is passed over."""
    found = _TRACEPARENT.fullmatch(text)
    if found is None:
        return None
    version, trace_id, span_id, flags, more = found.groups()
    if version == "00" and more is not None:
        return None
    return Trace(trace_id, span_id, int(flags, 16) & _KNOWN_FLAGS)


def parse_tracestate(text: str) -> str:
    """`text` as it may be passed on: within 32 members and 512 characters, empty if it is malformed.

    Where it is too long, whole members go: the long ones first, then those at the end, which are the oldest.
    """
    members = [member for member in (part.strip(" \t") for part in text.split(",")) if member]
    if len(members) > _MOST_MEMBERS or not all(map(_MEMBER.fullmatch, members)):
        return ""
    if len(",".join(members)) > _MOST_STATE:
        members = [member for member in members if len(member) <= _LONG_MEMBER]
    while members and len(",".join(members)) > _MOST_STATE:
        members.pop()
    return ",".join(members)


def begin() -> Trace:
    """The beginning of a trace of our own."""
    return Trace(f"{getrandbits(128) or 1:032x}", f"{getrandbits(64) or 1:016x}")


def parse_request_id(text: str | None) -> str | None:
    """`text` if it will do as the id of a request: up to 64 letters, digits, dots, dashes and underscores."""
    return text if text and _REQUEST_ID.fullmatch(text) else None


class Context:
    """The request and the trace that a piece of work belongs to.

    Most requests are answered without a word in the logs or to the broker, so a trace is only read, or begun, when
    somebody asks for it.
    """

    __slots__ = ("_given", "_trace", "request_id")

    def __init__(self, request_id: str | None = None, traceparent: str | None = None, tracestate: str = "") -> None:
        """`request_id` is taken as it is; the others are headers as they came."""
        self.request_id = request_id
        self._given = (traceparent, tracestate) if traceparent else None
        self._trace: Trace | None = None

    @classmethod
    def of(cls, trace: Trace, request_id: str | None) -> "Context":
        """The context at a place that is known."""
        context = cls(request_id)
        context._trace = trace
        return context

    @property
    def parent(self) -> Trace | None:
        """The trace that was given, or begun in the meantime; None if there is none yet."""
        if self._trace is None and self._given is not None:
            traceparent, tracestate = self._given
            self._given = None
            trace = parse_traceparent(traceparent)
            self._trace = trace and trace._replace(state=parse_tracestate(tracestate))
        return self._trace

    @property
    def trace(self) -> Trace:
        """The trace; begun here if none was given."""
        trace = self.parent
        if trace is None:
            trace = self._trace = begin()
        return trace

    def headers(self) -> dict[str, str]:
        """What a message or request carries on."""
        trace = self.trace
        headers = {TRACEPARENT: trace.traceparent}
        if trace.state:
            headers[TRACESTATE] = trace.state
        if self.request_id:
            headers[REQUEST_ID] = self.request_id
        return headers

    def encode(self) -> str:
        """The headers as JSON, for the database."""
        return orjson.dumps(self.headers()).decode()

    def ids(self) -> dict[str, str]:
        """What a line of the logs says of it."""
        ids = {"trace_id": self.trace.trace_id}
        if self.request_id:
            ids["request_id"] = self.request_id
        return ids


def from_headers(headers: Mapping[str, Any]) -> Context:
    """The context that a message carries; a new one where it carries none, or what can't be read."""
    names = (TRACEPARENT, TRACESTATE, REQUEST_ID)
    given = {name: value for name in names if isinstance(value := headers.get(name), str)}
    return Context(parse_request_id(given.get(REQUEST_ID)), given.get(TRACEPARENT), given.get(TRACESTATE, ""))


def decode(text: str) -> Context:
    """The context that `Context.encode` wrote down."""
    return from_headers(orjson.loads(text))


_current: Final[ContextVar[Context | None]] = ContextVar("tracing_context", default=None)


def current() -> Context | None:
    """The context of what is being done now."""
    return _current.get()


def bind(context: Context) -> None:
    """Let `context` be that of the present task, and of those it starts, from here on."""
    _current.set(context)


@contextmanager
def bound(context: Context) -> Iterator[None]:
    """Let `context` be the present one for as long as the block lasts."""
    token = _current.set(context)
    try:
        yield
    finally:
        _current.reset(token)


def headers() -> dict[str, str]:
    """What a message sent now carries on; nothing outside of any context."""
    context = _current.get()
    return context.headers() if context is not None else {}


def encoded() -> str | None:
    """The same as JSON text, for the database; None outside of any context."""
    context = _current.get()
    return context.encode() if context is not None else None
