"""One job followed through all three services: by its logs, its messages, and its spans."""

import asyncio
import json
import signal
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientSession, web
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

from services.client import Client
from services.common import topology
from services.common.bus import Bus, Delivery
from tests.conftest import NewStack
from tests.integration.broker_client import watching
from tests.media_files import MediaFiles
from tests.stack import SERVICES, Stack, eventually

SPAN_ID = "b7ad6b7169203331"
OF_A_JOB = ("job_id", "attempt", "tenant", "trace_id", "request_id")


def origin(name: str) -> dict[str, str]:
    """Headers of a request that a test can find again."""
    trace_id = uuid.uuid5(uuid.NAMESPACE_OID, name).hex
    return {"traceparent": f"00-{trace_id}-{SPAN_ID}-01", "tracestate": "rojo=1", "X-Request-ID": f"request-{name}"}


def trace_id_of(headers: dict[str, str]) -> str:
    return headers["traceparent"].split("-")[1]


def lines(stack: Stack, service: str, **fields: Any) -> list[dict[str, Any]]:
    """What `service` has logged with these fields."""
    found = [json.loads(line) for line in stack.log(service).splitlines() if line.startswith("{")]
    return [line for line in found if fields.items() <= line.items()]


def told(stack: Stack, service: str, **fields: Any) -> list[tuple[Any, ...]]:
    """The same, as events and attempts; for events of a job by their type."""
    return [(line.get("type", line["event"]), line.get("attempt")) for line in lines(stack, service, **fields)]


async def submit(stack: Stack, input_path: str, headers: dict[str, str]) -> str:
    wanted = {"input_path": input_path, "output_format": "mp4"}
    async with ClientSession() as http, http.post(f"{stack.url}/api/jobs", json=wanted, headers=headers) as answer:
        assert answer.status == 201, await answer.text()
        assert answer.headers["X-Request-ID"] == headers["X-Request-ID"]
        return (await answer.json())["job_id"]


async def act(stack: Stack, path: str, headers: dict[str, str]) -> int:
    async with ClientSession() as http, http.post(f"{stack.url}/api{path}", headers=headers) as answer:
        return answer.status


@asynccontextmanager
async def messages(stack: Stack) -> AsyncIterator[list[Delivery]]:
    """All that is in the stream of events, with its headers."""
    bus, seen = Bus(stack.amqp_url, name="test"), []

    def take(delivery: Delivery) -> None:
        bus.spawn(delivery.ack())
        seen.append(delivery)

    follow = bus.consume(topology.EVENTS_STREAM, take, prefetch=200, offset="first")
    tasks = [asyncio.create_task(bus.run()), asyncio.create_task(follow)]
    try:
        yield seen
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def upload(full_stack: Stack, media: MediaFiles) -> str:
    async with Client(full_stack.url) as client:
        return (await client.upload(media.mp4())).input_path


async def test_a_job_is_followed_by_either_id_also_after_a_delayed_retry(full_stack: Stack, upload: str) -> None:
    headers = origin("retried")
    trace_id, request_id = trace_id_of(headers), headers["X-Request-ID"]
    full_stack.kill("transcoder", signal.SIGSTOP)
    job_id = await submit(full_stack, upload, headers)
    await full_stack.stop("s3")  # so the first attempt ends at its beginning
    full_stack.kill("transcoder", signal.SIGCONT)
    await eventually(lambda: lines(full_stack, "transcoder", event="job_retried", job_id=job_id))
    await full_stack.start("s3")
    about = {"trace_id": trace_id, "request_id": request_id, "job_id": job_id, "tenant": "default"}
    expected = {
        "gateway": {("job_created", 1), ("job.retrying", 2), ("job.started", 2), ("job.completed", 2)},
        "transcoder": {("job_failed", 1), ("job_retried", 1), ("job_started", 2), ("job_completed", 2)},
        "notifier": {("job.queued", 1), ("job.retrying", 2), ("job.started", 2), ("job.completed", 2)},
    }
    for service, events in expected.items():
        await eventually(lambda service=service, events=events: set(told(full_stack, service, **about)) >= events)
        of_the_job = lines(full_stack, service, job_id=job_id)
        assert all(all(name in line for name in OF_A_JOB) for line in of_the_job), of_the_job
        assert lines(full_stack, service, trace_id=trace_id) == lines(full_stack, service, request_id=request_id)
        assert len({line["job_id"] for line in lines(full_stack, service, trace_id=trace_id)}) == 1
    async with messages(full_stack) as seen:
        await eventually(lambda: [d for d in seen if d.routing_key == f"job.completed.default.{job_id}"])
        carried = [dict(d.headers) for d in seen if d.routing_key.endswith(job_id)]
    wanted = {"traceparent": headers["traceparent"], "tracestate": "rojo=1", "x-request-id": request_id}
    assert all(wanted.items() <= given.items() for given in carried), carried


async def test_work_without_headers_begins_a_trace_that_all_services_share(
    full_stack: Stack, media: MediaFiles
) -> None:
    async with watching(full_stack) as watcher:
        job_id = await watcher.request(await watcher.put(media.mp4()))
        await watcher.outcome(job_id)
    await eventually(lambda: ("job.completed", 1) in told(full_stack, "gateway", job_id=job_id))
    await eventually(lambda: ("job.completed", 1) in told(full_stack, "notifier", job_id=job_id))
    traces = {line["trace_id"] for service in SERVICES for line in lines(full_stack, service, job_id=job_id)}
    assert len(traces) == 1
    assert not any("request_id" in line for service in SERVICES for line in lines(full_stack, service, job_id=job_id))


async def test_who_cancels_and_who_tries_again_are_told_apart(full_stack: Stack, media: MediaFiles) -> None:
    made, cancelled, again = origin("made"), origin("cancelled"), origin("again")
    async with Client(full_stack.url) as client:
        job_id = await submit(full_stack, (await client.upload(media.slow(12))).input_path, made)
    await eventually(lambda: ("job_started", 1) in told(full_stack, "transcoder", job_id=job_id))
    assert await act(full_stack, f"/jobs/{job_id}/cancel", cancelled) == 202
    by_cancel = {"job_id": job_id, "request_id": cancelled["X-Request-ID"], "trace_id": trace_id_of(cancelled)}
    # More than once if the run goes on to report before it has ended.
    await eventually(lambda: set(told(full_stack, "transcoder", **by_cancel)) == {("run_stopped", 1)})
    # Gateway and transcoder both say so, each in its own context; whichever is first counts.
    await eventually(lambda: ("job.cancelled", 1) in told(full_stack, "notifier", job_id=job_id))
    assert ("job_cancelled", 1) in told(full_stack, "gateway", **by_cancel)
    by_making = {"job_id": job_id, "request_id": made["X-Request-ID"]}
    await eventually(lambda: ("job_aborted", 1) in told(full_stack, "transcoder", **by_making))
    assert await act(full_stack, f"/jobs/{job_id}/retry", again) == 202
    by_retry = {"job_id": job_id, "request_id": again["X-Request-ID"], "trace_id": trace_id_of(again)}
    await eventually(lambda: ("job_started", 2) in told(full_stack, "transcoder", **by_retry))
    assert await act(full_stack, f"/jobs/{job_id}/cancel", cancelled) == 202
    await eventually(lambda: ("job_aborted", 2) in told(full_stack, "transcoder", **by_retry))


async def test_a_question_to_a_transcoder_carries_the_request(full_stack: Stack, upload: str) -> None:
    headers = origin("planned")
    wanted = {"input_path": upload, "output_format": "webm"}
    url = f"{full_stack.url}/api/jobs/plan"
    async with ClientSession() as http, http.post(url, json=wanted, headers=headers) as answer:
        assert answer.status == 200, await answer.text()
    asked = {"request_id": headers["X-Request-ID"], "trace_id": trace_id_of(headers)}
    assert told(full_stack, "transcoder", **asked) == [("plan_answered", None)]


async def test_a_dead_letter_is_told_of_with_its_request(full_stack: Stack) -> None:
    async with watching(full_stack) as watcher:
        headers = {"traceparent": origin("dead")["traceparent"], "x-request-id": "request-dead"}
        await watcher.bus.publish(topology.JOBS, topology.requested("mp4"), b"{", headers=headers)
    for service, event in (("transcoder", "message_invalid"), ("gateway", "message_dead")):
        await eventually(
            lambda service=service, event=event: lines(
                full_stack, service, event=event, request_id="request-dead", trace_id=trace_id_of(headers)
            )
        )


Spans = dict[str, Any]


@asynccontextmanager
async def collector() -> AsyncIterator[tuple[str, Spans]]:
    """A collector of spans, OTLP over HTTP: its address, and the spans by service and name."""
    found: Spans = {}

    async def take(request: web.Request) -> web.Response:
        for resource in ExportTraceServiceRequest.FromString(await request.read()).resource_spans:
            attributes = {one.key: one.value.string_value for one in resource.resource.attributes}
            for scope in resource.scope_spans:
                found.update({f"{attributes['service.name']}: {span.name}": span for span in scope.spans})
        return web.Response(content_type="application/x-protobuf")

    app = web.Application()
    app.router.add_post("/v1/traces", take)
    runner = web.AppRunner(app)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}", found
    finally:
        await runner.cleanup()


@pytest.mark.timeout(240)
async def test_where_a_collector_is_named_the_spans_of_a_job_form_one_tree(
    new_stack: NewStack, media: MediaFiles
) -> None:
    headers = origin("spans")
    async with collector() as (url, spans), new_stack(env={"OTEL_EXPORTER_OTLP_ENDPOINT": url}) as stack:
        await stack.start("s3", "nginx", *SERVICES)
        async with Client(stack.url) as client:
            job_id = await submit(stack, (await client.upload(media.mp4())).input_path, headers)
        for service in ("gateway", "notifier"):
            await eventually(
                lambda service=service: ("job.completed", 1) in told(stack, service, job_id=job_id), timeout=60
            )
        await stack.stop(*SERVICES)  # and what has not been handed over yet is
        parents = {name: span.parent_span_id.hex() for name, span in spans.items()}
        ids = {name: span.span_id.hex() for name, span in spans.items()}
        assert {span.trace_id.hex() for name, span in spans.items() if "s3/multipart" not in name} == {
            trace_id_of(headers)
        }, list(spans)
        job = ids["transcoder: process video-jobs"]
        assert parents["gateway: POST /jobs"] == SPAN_ID
        assert parents["gateway: publish video.jobs"] == ids["gateway: POST /jobs"]
        assert parents["transcoder: process video-jobs"] == ids["gateway: publish video.jobs"]
        for name in ("downloading", "probing", "transcoding", "uploading"):
            assert parents[f"transcoder: {name}"] == job, name
        assert parents["gateway: apply job.completed"] == job
        assert parents["notifier: push job.completed"] == job
        # The lines are of the same trace, spans or not.
        for service in SERVICES:
            of_the_job = lines(stack, service, job_id=job_id)
            assert {(line["trace_id"], line["request_id"]) for line in of_the_job} == {
                (trace_id_of(headers), headers["X-Request-ID"])
            }
