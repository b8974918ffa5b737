"""Spans: nothing without a collector, and nothing lost but spans without one that answers."""

import socket
import subprocess
import sys

import pytest

from services.common import telemetry, tracing
from services.common.tracing import Context

GIVEN = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"


def test_without_a_collector_nothing_is_recorded() -> None:
    with telemetry.exporting("gateway", None), tracing.bound(Context("req-1", GIVEN)):
        assert telemetry.recorder() is None
        with telemetry.span("probing"):
            assert tracing.headers()["traceparent"] == GIVEN
        telemetry.fail("internal")


@pytest.mark.parametrize("service", ["gateway.main", "transcoder.app", "notifier.main"])
def test_without_a_collector_opentelemetry_is_not_even_imported(service: str) -> None:
    look = f"import sys, services.{service}; sys.exit(any(name.startswith('opentelemetry') for name in sys.modules))"
    assert subprocess.run([sys.executable, "-c", look], check=False).returncode == 0


def test_a_collector_without_the_packages_is_a_clear_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delitem(sys.modules, "services.common.otlp", raising=False)
    monkeypatch.setitem(sys.modules, "opentelemetry.sdk.trace", None)
    with pytest.raises(SystemExit, match="2"), telemetry.exporting("gateway", "http://127.0.0.1:4318"):
        pass
    said = capsys.readouterr().err
    assert "OTEL_EXPORTER_OTLP_ENDPOINT" in said
    assert "cloud-video-conversion[otel]" in said


@pytest.mark.timeout(8)  # the exporter alone would wait for ten seconds
def test_a_collector_that_never_answers_holds_up_nobody() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        with telemetry.exporting("gateway", f"http://127.0.0.1:{silent.getsockname()[1]}"):
            for _ in range(3000):  # more than its queue holds
                with telemetry.span("probing"):
                    pass
        assert telemetry.recorder() is None


@pytest.fixture
def nowhere() -> str:
    """A collector that is away."""
    with socket.create_server(("127.0.0.1", 0)) as closed:
        return f"http://127.0.0.1:{closed.getsockname()[1]}"


def test_a_span_stands_between_what_came_and_what_goes(nowhere: str) -> None:
    with telemetry.exporting("gateway", nowhere), tracing.bound(Context("req-1", GIVEN, "rojo=1")):
        with telemetry.span("outer"):
            outer = tracing.headers()
            with telemetry.span("inner"):
                inner = tracing.headers()
        assert tracing.headers()["traceparent"] == GIVEN
    spans = [GIVEN, outer["traceparent"], inner["traceparent"]]
    assert len({text.split("-")[1] for text in spans}) == 1
    assert len({text.split("-")[2] for text in spans}) == 3
    assert {(one["tracestate"], one["x-request-id"]) for one in (outer, inner)} == {("rojo=1", "req-1")}


def test_what_was_not_to_be_recorded_stays_so(nowhere: str) -> None:
    unsampled = GIVEN.removesuffix("01") + "00"
    with telemetry.exporting("gateway", nowhere), tracing.bound(Context("req-1", unsampled)), telemetry.span("outer"):
        assert tracing.headers()["traceparent"].endswith("-00")


def test_a_trace_begun_before_the_span_is_the_spans(nowhere: str) -> None:
    with telemetry.exporting("gateway", nowhere), tracing.bound(Context("req-1")):
        before = tracing.headers()["traceparent"].split("-")[1]
        with telemetry.span("outer"):
            assert tracing.headers()["traceparent"].split("-")[1] == before
