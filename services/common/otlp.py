"""The recorder of spans by OpenTelemetry's SDK; imported only where a collector is named (see `telemetry`).

Spans are handed over by a thread of the SDK's own, in batches and from a bounded queue: a collector that is slow or
away costs spans, never work.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from threading import Thread
from typing import Final

from opentelemetry import context as otel_context
from opentelemetry import trace
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor

import services
from services.common import tracing
from services.common.telemetry import Attributes, Kind
from services.common.tracing import Context, Trace

_CLOSE_TIMEOUT_S: Final = 2.0
_KINDS: Final[dict[Kind, trace.SpanKind]] = {
    "internal": trace.SpanKind.INTERNAL,
    "server": trace.SpanKind.SERVER,
    "producer": trace.SpanKind.PRODUCER,
    "consumer": trace.SpanKind.CONSUMER,
}


class OtlpSpan:
    """A span of the SDK's, and the context of what belongs below it."""

    def __init__(self, span: trace.Span, request_id: str | None) -> None:
        self._span = span
        place = span.get_span_context()
        self.context: Final = Context.of(
            Trace(
                f"{place.trace_id:032x}", f"{place.span_id:016x}", int(place.trace_flags), place.trace_state.to_header()
            ),
            request_id,
        )

    def fail(self, reason: str) -> None:
        """It did not go well."""
        self._span.set_status(trace.StatusCode.ERROR, reason)

    def end(self) -> None:
        """It is over."""
        self._span.end()


class OtlpRecorder:
    """Makes spans and exports them.  The SDK's own settings (`OTEL_TRACES_SAMPLER` and others) hold."""

    def __init__(self, service: str, endpoint: str) -> None:
        """Export the spans of `service` to the collector at `endpoint`, such as `http://collector:4318`."""
        resource = Resource.create({"service.name": service, "service.version": services.__version__})
        self._provider = TracerProvider(resource=resource, shutdown_on_exit=False)
        self._provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter(endpoint=f"{endpoint}/v1/traces")))
        self._tracer = self._provider.get_tracer("services", services.__version__)
        self._innermost: ContextVar[OtlpSpan | None] = ContextVar("otlp_span", default=None)

    def start(self, name: str, context: Context | None, kind: Kind, attributes: Attributes) -> OtlpSpan:
        """Begin a span below `context`, or on its own."""
        span = self._tracer.start_span(name, _parent(context), _KINDS[kind], attributes)
        return OtlpSpan(span, context.request_id if context else None)

    @contextmanager
    def span(self, name: str, kind: Kind, attributes: Attributes) -> Iterator[None]:
        """A span below the present context, which stands for that until it ends."""
        span = self.start(name, tracing.current(), kind, attributes)
        token = self._innermost.set(span)
        try:
            with tracing.bound(span.context):
                yield
        except BaseException as error:
            span.fail(type(error).__name__)
            raise
        finally:
            self._innermost.reset(token)
            span.end()

    def fail(self, reason: str) -> None:
        """What the innermost open span is about did not go well."""
        span = self._innermost.get()
        if span is not None:
            span.fail(reason)

    def close(self) -> None:
        """Hand over what is left; what the collector does not take within two seconds is given up."""
        closing = Thread(target=self._provider.shutdown, name="otlp-close", daemon=True)
        closing.start()
        closing.join(_CLOSE_TIMEOUT_S)


def _parent(context: Context | None) -> otel_context.Context:
    """`context` as the SDK has it; an empty one, not the SDK's idea of a present one, if there is none."""
    above = context.parent if context is not None else None
    if above is None:
        return otel_context.Context()
    place = trace.SpanContext(
        trace_id=int(above.trace_id, 16),
        span_id=int(above.span_id, 16),
        is_remote=True,
        trace_flags=trace.TraceFlags(above.flags),
        trace_state=trace.TraceState.from_header([above.state]) if above.state else None,
    )
    return trace.set_span_in_context(trace.NonRecordingSpan(place), otel_context.Context())
