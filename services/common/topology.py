"""The broker's exchanges, queues and bindings, as data.

Everybody declares all of it, so that whoever comes first finds it whole and a deleted queue comes back.
Arguments of a queue can never change once it exists: nothing here depends on a setting.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

JOBS: Final = "video.jobs"
EVENTS: Final = "video.events"
CONTROL: Final = "video.control"
DEAD: Final = "video.dead"

JOBS_QUEUE: Final = "video-jobs"
EVENTS_STREAM: Final = "video-events"
CONTROL_STREAM: Final = "video-control"
GATEWAY_QUEUE: Final = "video-gateway"
GATEWAY_PROGRESS_QUEUE: Final = "video-gateway.progress"
GATEWAY_DEAD_QUEUE: Final = "video-gateway.dead"
DEAD_QUEUE: Final = "video-jobs.dead"
PLANS_QUEUE: Final = "video-plans"

# Seconds that a failed attempt waits in the broker before the next one; the last serves all later ones.
RETRY_DELAYS_S: Final = (5, 30, 120, 600)
# Deliveries of one message after which the broker itself gives up; workers give up long before (MAX_RETRIES).
DELIVERY_LIMIT: Final = 50

_DAY_S: Final = 86_400
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Queue:
    """A durable queue.

    Attributes:
        bindings: (exchange, pattern) pairs.
        arguments: go to the broker as they are.
        former_bindings: that earlier versions made, and nobody may keep.
    """

    name: str
    bindings: tuple[tuple[str, str], ...] = ()
    arguments: Mapping[str, str | int] = field(default_factory=dict)
    former_bindings: tuple[tuple[str, str], ...] = ()

    @property
    def replicated(self) -> bool:
        """False if it lives on one node of a cluster, and is out of reach while that one is down."""
        return "x-queue-type" in self.arguments


def retry_queue(delay_s: int) -> str:
    """The queue in which messages rest for `delay_s` before they return to the work queue."""
    return f"{JOBS_QUEUE}.retry.{delay_s}s"


def retry_delay(retries: int) -> int:
    """Seconds before automatic retry number `retries`, the first being 1."""
    return RETRY_DELAYS_S[min(max(retries, 1), len(RETRY_DELAYS_S)) - 1]


def requested(output_format: str) -> str:
    """The routing key of a work message on `JOBS`."""
    return f"job.requested.{output_format}"


def cancel_key(job_id: str) -> str:
    """The routing key of a cancel message on `CONTROL`."""
    return f"job.cancel.{job_id}"


EXCHANGES: Final = (JOBS, EVENTS, CONTROL, DEAD)  # all topic, durable

QUEUES: Final = (
    Queue(
        JOBS_QUEUE,
        ((JOBS, "job.requested.#"),),
        {
            "x-queue-type": "quorum",
            "x-delivery-limit": DELIVERY_LIMIT,
            "x-dead-letter-exchange": DEAD,
        },
    ),
    *(
        Queue(
            retry_queue(delay),
            (),
            {
                "x-queue-type": "quorum",
                "x-message-ttl": delay * 1000,
                "x-dead-letter-exchange": JOBS,
                "x-dead-letter-routing-key": requested("retry"),
                "x-dead-letter-strategy": "at-least-once",
                "x-overflow": "reject-publish",
            },
        )
        for delay in RETRY_DELAYS_S
    ),
    Queue(
        EVENTS_STREAM,
        ((EVENTS, "job.#"),),
        {
            "x-queue-type": "stream",
            "x-max-age": f"{_DAY_S}s",
            "x-max-length-bytes": 2048 * _MIB,
            "x-stream-max-segment-size-bytes": 16 * _MIB,
        },
    ),
    Queue(
        CONTROL_STREAM,
        ((CONTROL, "job.cancel.#"),),
        {
            "x-queue-type": "stream",
            "x-max-age": f"{7 * _DAY_S}s",
            "x-max-length-bytes": 64 * _MIB,
            "x-stream-max-segment-size-bytes": 4 * _MIB,
        },
    ),
    # Not job.queued: that is the gateway's own, and would double what every new job costs it.
    Queue(
        GATEWAY_QUEUE,
        tuple((EVENTS, f"job.{event}.#") for event in ("started", "retrying", "completed", "failed", "cancelled")),
        {"x-queue-type": "quorum"},
        former_bindings=((EVENTS, "job.progress.#"),),
    ),
    # Worth nothing once there is newer, and the most of all events: neither replicated, nor kept, nor acknowledged.
    Queue(GATEWAY_PROGRESS_QUEUE, ((EVENTS, "job.progress.#"),), {"x-message-ttl": 10_000}),
    Queue(GATEWAY_DEAD_QUEUE, ((DEAD, "#"),), {"x-queue-type": "quorum"}),
    Queue(DEAD_QUEUE, ((DEAD, "#"),), {"x-queue-type": "quorum"}),
    # Questions somebody waits for: worth nothing after a while, so neither replicated nor kept.
    Queue(PLANS_QUEUE, (), {"x-message-ttl": 30_000}),
)

_BY_NAME: Final = {spec.name: spec for spec in QUEUES}


def queue(name: str) -> Queue:
    """The queue `name`; KeyError if there is none."""
    return _BY_NAME[name]
