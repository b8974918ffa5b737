"""Spans for OpenTelemetry, for those who collect them; without a collector nothing is imported, made or kept.

    with telemetry.exporting("gateway", settings.otel_exporter_otlp_endpoint):    # the program's whole life
        with telemetry.span("probing"):                                           # anywhere in it
            ...

A span stands below the place that `tracing` holds, and what is sent while it is open stands below the span.
"""

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final, Literal, Protocol

from services.common.settings import SettingsError, refuse
from services.common.tracing import Context

Kind = Literal["internal", "server", "producer", "consumer"]
Attributes = Mapping[str, str | int]

_MISSING: Final = "OpenTelemetry is not installed; install cloud-video-conversion[otel], or unset this"
_NOTHING: Final[AbstractContextManager[None]] = nullcontext()


class Span(Protocol):
    """Something that takes time, from its making to `end`."""

    @property
    def context(self) -> Context:
        """What belongs below it carries this."""

    def fail(self, reason: str) -> None:
        """It did not go well."""

    def end(self) -> None:
        """It is over."""


class Recorder(Protocol):
    """Makes spans and hands them over to somebody, in the background."""

    def start(self, name: str, context: Context | None, kind: Kind, attributes: Attributes) -> Span:
        """Begin a span below `context`, or on its own."""

    def span(self, name: str, kind: Kind, attributes: Attributes) -> AbstractContextManager[object]:
        """A span below the present context, which stands for that until it ends."""

    def fail(self, reason: str) -> None:
        """What the innermost open span is about did not go well."""

    def close(self) -> None:
        """Hand over what is left, within bounds of time."""


_recorder: Recorder | None = None


def recorder() -> Recorder | None:
    """What records spans, None if nobody wants any."""
    return _recorder


def span(name: str, kind: Kind = "internal", **attributes: str | int) -> AbstractContextManager[object]:
    """The block as a span, if anybody wants it."""
    return _NOTHING if _recorder is None else _recorder.span(name, kind, attributes)


def fail(reason: str) -> None:
    """What the innermost open span is about did not go well; `reason` is a word, such as an error code."""
    if _recorder is not None:
        _recorder.fail(reason)


@contextmanager
def exporting(service: str, endpoint: str | None) -> Iterator[None]:
    """Export the spans of `service` to the OTLP collector at `endpoint` (over HTTP) while the block lasts; or none.

    Around all else that a program does.  Where there is an endpoint but no OpenTelemetry installed, the program ends
    as it does for any setting that is wrong.
    """
    global _recorder  # noqa: PLW0603 -- a program has one, as it has one log
    if endpoint is None:
        yield
        return
    try:
        from services.common.otlp import OtlpRecorder  # noqa: PLC0415 -- needed, and paid for, only here
    except ImportError as error:
        refuse(SettingsError(f"OTEL_EXPORTER_OTLP_ENDPOINT: {_MISSING} ({error.name})"))
    _recorder = OtlpRecorder(service, endpoint)
    try:
        yield
    finally:
        made, _recorder = _recorder, None
        made.close()
