"""Every metric of the system, declared in one place; each service exposes those it has touched.

Base units, no job or user ids as labels.  The two `api_` names are older than the `video_` prefix and stay.
"""

from aioprometheus.collectors import REGISTRY, Counter, Gauge, Histogram
from aioprometheus.renderer import render

from services.common import resources

_SHORT = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0]
_LONG = [0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0, 7200.0]

API_REQUESTS = Counter("api_requests_total", "HTTP requests by method, route and status")
API_INGESTION = Counter("api_ingestion_rate_total", "Jobs accepted by POST /jobs")

JOBS_FINISHED = Counter("video_jobs_total", "Jobs that ended, by final status and error code")
JOB_SECONDS = Histogram("video_job_duration_seconds", "Seconds from QUEUED to COMPLETED", buckets=_LONG)
STAGE_SECONDS = Histogram("video_stage_duration_seconds", "Seconds that jobs spend in a stage", buckets=_LONG)
RETRIES = Counter("video_retries_total", "New attempts of jobs, by the error code that caused them")
REDELIVERIES = Counter("video_redeliveries_total", "Work messages that came again, their receiver being gone")
DEAD_LETTERS = Counter("video_dead_letters_total", "Work messages that were dead-lettered, by error code")

QUEUE_DEPTH = Gauge("video_queue_depth", "Jobs waiting for a transcoder")
QUEUE_AGE = Gauge("video_queue_oldest_age_seconds", "Age of the oldest waiting job")
OUTBOX_BACKLOG = Gauge("video_outbox_backlog", "Messages on disk that the broker has not confirmed yet")
OUTBOX_AGE = Gauge("video_outbox_oldest_age_seconds", "Age of the oldest of them")
COLLECTED = Counter("video_collected_total", "Objects, uploads and rows removed for their age, by kind")

FFMPEG_RUNNING = Gauge("video_ffmpeg_processes", "Running ffmpeg processes")
WORKERS_BUSY = Gauge("video_workers_busy", "Jobs in work in this transcoder")
BYTES_IN = Counter("video_input_bytes_total", "Bytes downloaded for conversion")
BYTES_OUT = Counter("video_output_bytes_total", "Bytes of results uploaded")
ENCODE_SPEED = Histogram(
    "video_encode_speed_ratio",
    "Seconds of media converted in a second",
    buckets=[0.1, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0, 64.0],
)

CONNECTIONS = Gauge("video_push_connections", "Open push connections by transport")
DELIVERIES = Counter("video_push_deliveries_total", "Events handed to push connections")
CONFLATIONS = Counter("video_push_conflations_total", "Progress events replaced by newer ones for slow readers")
EVICTIONS = Counter("video_push_evictions_total", "Push connections closed by the server, by reason")
PUSH_SECONDS = Histogram("video_push_latency_seconds", "Seconds from an event's time to its push", buckets=_SHORT)

BROKER_CONNECTED = Gauge("video_broker_connected", "1 while the broker connection is up")
BROKER_RECONNECTS = Counter("video_broker_reconnects_total", "Times the broker connection was made again")

PROCESS_CPU = Counter("video_process_cpu_seconds_total", "Processor time of the service and of its child processes")
PROCESS_MEMORY = Gauge("video_process_resident_memory_bytes", "Resident memory of the service and of its children")


class Tally:
    """Counts for the hot path.  The library takes microseconds to find a counter by its labels; here it is a plain
    dictionary, written into `counter` when the metrics are asked for.
    """

    def __init__(self, counter: Counter, *labels: str) -> None:
        self._counter = counter
        self._labels = labels
        self._counts: dict[tuple[str, ...], int] = {}
        _tallies.append(self)

    def inc(self, *values: str) -> None:
        """One more with these values of the labels, in their order."""
        self._counts[values] = self._counts.get(values, 0) + 1

    def flush(self) -> None:
        """Write what was counted."""
        counts, self._counts = self._counts, {}
        for values, number in counts.items():
            self._counter.add(dict(zip(self._labels, values, strict=True)), number)


_tallies: list[Tally] = []
REQUESTS_TALLY = Tally(API_REQUESTS, "method", "route", "status")
INGESTION_TALLY = Tally(API_INGESTION)


def _measure_resources() -> None:
    for of, usage in (("service", resources.own()), ("children", resources.descendants())):
        if usage is None:
            continue
        labels = {"of": of}
        # A child that ends between two looks may take some time with it; a counter must not fall for that.
        known = PROCESS_CPU.values.get(labels)
        PROCESS_CPU.set(labels, max(usage.cpu_s, known or 0.0))
        PROCESS_MEMORY.set(labels, usage.memory_bytes)


def exposition(accept: str) -> tuple[bytes, dict[str, str]]:
    """The metrics in the format that the `Accept` header asks for, and its HTTP headers."""
    _measure_resources()
    for tally in _tallies:
        tally.flush()
    body, headers = render(REGISTRY, [accept] if accept else [])
    return body, headers
