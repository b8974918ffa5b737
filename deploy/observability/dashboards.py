"""What the operators look at."""

from typing import Final

from deploy.observability.panels import RATE, Dashboard, Panel, Query

_UP: Final = {"0": "down", "1": "up"}
# Several gateways count the same queue and outbox; the highest is the newest.
_DEPTH: Final = "max(video_queue_depth)"
_AGE: Final = "max(video_queue_oldest_age_seconds)"


def _quantiles(histogram: str, by: str = "", quantiles: tuple[float, ...] = (0.5, 0.9, 0.99)) -> tuple[Query, ...]:
    labels = f"le, {by}" if by else "le"
    named = f" {{{{{by}}}}}" if by else ""
    return tuple(
        Query(f"histogram_quantile({q}, sum by ({labels}) (rate({histogram}_bucket[{RATE}])))", f"p{q * 100:g}{named}")
        for q in quantiles
    )


def _or_zero(expr: str) -> str:
    """What has never happened has no series; on a graph that is a zero."""
    return f"{expr} or on() vector(0)"


SYSTEM_HEALTH: Final = Dashboard(
    "system-health",
    "System health",
    "Is everything there, and does it answer? Start here.",
    (
        Panel(
            title="Services up",
            kind="stat",
            width=6,
            height=5,
            queries=[Query('sum by (job) (up{job=~"gateway|notifier|transcoder"})', "{{job}}")],
            about="Processes that answer, by service. Transcoders may be none while the queue is empty.",
        ),
        Panel(
            title="Broker, as the services see it",
            kind="stat",
            width=6,
            height=5,
            queries=[Query("min by (job) (video_broker_connected)", "{{job}}")],
            mappings=_UP,
            about="Down: jobs are accepted and wait on the gateway's disk; nothing is lost.",
        ),
        Panel(
            title="Waiting to be sent (outbox)",
            kind="stat",
            width=6,
            height=5,
            queries=[Query("max(video_outbox_backlog)")],
            thresholds=(100, 1000),
            about="Messages on disk that the broker has not confirmed yet; grows only while the broker is away.",
        ),
        Panel(
            title="Oldest waiting job",
            kind="stat",
            width=6,
            height=5,
            unit="s",
            queries=[Query(_AGE)],
            thresholds=(300, 900),
            about="Grows when there are too few transcoders, or none.",
        ),
        Panel(
            title="API requests by status",
            unit="reqps",
            stacked=True,
            queries=[Query(f"sum by (status) (rate(api_requests_total[{RATE}]))", "{{status}}")],
        ),
        Panel(
            title="API errors",
            unit="percentunit",
            maximum=1,
            queries=[
                Query(
                    _or_zero(
                        f'sum(rate(api_requests_total{{status=~"5.."}}[{RATE}]))'
                        f" / sum(rate(api_requests_total[{RATE}]))"
                    ),
                    "5xx",
                ),
                Query(
                    _or_zero(
                        f'sum(rate(api_requests_total{{status=~"4.."}}[{RATE}]))'
                        f" / sum(rate(api_requests_total[{RATE}]))"
                    ),
                    "4xx",
                ),
            ],
            about="5xx are ours. 4xx are the clients', but many at once may be a broken release of a client.",
        ),
        Panel(
            title="API requests by route",
            unit="reqps",
            queries=[Query(f"sum by (method, route) (rate(api_requests_total[{RATE}]))", "{{method}} {{route}}")],
        ),
        Panel(
            title="Broker connections made again",
            queries=[
                Query(
                    _or_zero(f"sum by (job) (increase(video_broker_reconnects_total[{RATE}]))"),
                    "{{job}}",
                )
            ],
            about="A few after a restart of the broker; steadily more means the network cuts connections.",
        ),
    ),
)

BUSINESS: Final = Dashboard(
    "business",
    "Business",
    "What users get: how many jobs, how fast, how often not.",
    (
        Panel(
            title="Jobs accepted and ended",
            unit="ops",
            queries=[
                Query(f"sum(rate(api_ingestion_rate_total[{RATE}]))", "accepted"),
                Query(f"sum by (status) (rate(video_jobs_total[{RATE}]))", "{{status}}"),
            ],
            about="Accepted above ended for long: the queue grows.",
        ),
        Panel(
            title="From QUEUED to COMPLETED",
            unit="s",
            queries=_quantiles("video_job_duration_seconds"),
            about="Waiting and work together, as the user feels it.",
        ),
        Panel(
            title="Jobs that ended, last 24 hours",
            kind="bargauge",
            queries=[Query("sum by (status) (increase(video_jobs_total[24h]))", "{{status}}")],
        ),
        Panel(
            title="Completed of those that ended by themselves",
            unit="percentunit",
            maximum=1,
            queries=[
                Query(
                    f'sum(rate(video_jobs_total{{status="completed"}}[{RATE}]))'
                    f' / sum(rate(video_jobs_total{{status=~"completed|failed"}}[{RATE}]))',
                    "completed",
                )
            ],
            about="Cancelled ones do not count. Failures for the file's own fault do: see the reasons.",
        ),
        Panel(
            title="Failures by reason",
            unit="ops",
            stacked=True,
            queries=[Query(_or_zero(f'sum by (code) (rate(video_jobs_total{{status="failed"}}[{RATE}]))'), "{{code}}")],
            about="not_media, no_video, no_audio, corrupt_input, truncated_input, unsupported, invalid_options, "
            "too_large and input_missing are about the uploads; all others are ours.",
        ),
        Panel(
            title="New attempts by reason",
            unit="ops",
            stacked=True,
            queries=[Query(_or_zero(f"sum by (code) (rate(video_retries_total[{RATE}]))"), "{{code}}")],
        ),
        Panel(
            title="Seconds by stage, median",
            unit="s",
            queries=_quantiles("video_stage_duration_seconds", by="stage", quantiles=(0.5,)),
            about="What a job spends its time on once it is in work.",
        ),
        Panel(
            title="Bytes in and out",
            unit="Bps",
            queries=[
                Query(f"sum(rate(video_input_bytes_total[{RATE}]))", "in"),
                Query(f"sum(rate(video_output_bytes_total[{RATE}]))", "out"),
            ],
        ),
    ),
)

RESOURCES: Final = Dashboard(
    "resources",
    "Resources",
    "What the work costs: processors, memory, ffmpeg.",
    (
        Panel(
            title="Processor time of active workers",
            unit="short",
            stacked=True,
            queries=[
                Query(
                    f'sum by (instance) (rate(video_process_cpu_seconds_total{{job="transcoder"}}[{RATE}]))',
                    "{{instance}}",
                )
            ],
            about="Processors in use, ffmpeg included. Flat at the number of cores: more transcoders would help.",
        ),
        Panel(
            title="Memory of active workers",
            unit="bytes",
            stacked=True,
            queries=[
                Query('sum by (instance) (video_process_resident_memory_bytes{job="transcoder"})', "{{instance}}"),
            ],
            about="ffmpeg included.",
        ),
        Panel(
            title="ffmpeg processes",
            queries=[Query("sum by (instance) (video_ffmpeg_processes)", "{{instance}}")],
        ),
        Panel(
            title="Jobs in work",
            queries=[Query("sum by (instance) (video_workers_busy)", "{{instance}}")],
        ),
        Panel(
            title="Encode speed",
            unit="short",
            queries=_quantiles("video_encode_speed_ratio", quantiles=(0.1, 0.5, 0.9)),
            about="Seconds of media a second, per job. Falling at the same load: the machine is throttled or shared.",
        ),
        Panel(
            title="Processor time of the other services",
            queries=[
                Query(
                    f'sum by (job, instance) (rate(video_process_cpu_seconds_total{{job!="transcoder"}}[{RATE}]))',
                    "{{job}} {{instance}}",
                )
            ],
            about="One process uses one core at most: a gateway or notifier near 1 needs a second one beside it.",
        ),
        Panel(
            title="Memory of the services themselves",
            unit="bytes",
            queries=[
                Query(
                    'sum by (job, instance) (video_process_resident_memory_bytes{of="service"})', "{{job}} {{instance}}"
                )
            ],
        ),
    ),
)

QUEUE: Final = Dashboard(
    "queue",
    "Queue",
    "What waits, for how long, and what went wrong on the way.",
    (
        Panel(title="Waiting jobs", queries=[Query(_DEPTH, "waiting")]),
        Panel(title="Age of the oldest waiting job", unit="s", queries=[Query(_AGE, "oldest")], thresholds=(300, 900)),
        Panel(
            title="Waiting and in work",
            stacked=True,
            queries=[Query(_DEPTH, "waiting"), Query("sum(video_workers_busy)", "in work")],
            about="The autoscaler counts both: messages in work are not acknowledged yet.",
        ),
        Panel(
            title="Redeliveries",
            unit="ops",
            queries=[Query(_or_zero(f"sum(rate(video_redeliveries_total[{RATE}]))"), "redeliveries")],
            about="Work that came again because the transcoder that had it went away.",
        ),
        Panel(
            title="Dead letters",
            queries=[
                Query(_or_zero(f"sum by (code) (increase(video_dead_letters_total[{RATE}]))"), "{{code}}"),
            ],
            about="Messages nobody could deal with; they can be listed and redriven.",
        ),
        Panel(title="Waiting to be sent (outbox)", queries=[Query("max(video_outbox_backlog)", "messages")]),
        Panel(
            title="Age of the oldest message to be sent",
            unit="s",
            queries=[Query("max(video_outbox_oldest_age_seconds)", "oldest")],
            thresholds=(10, 60),
            about="Well under a second while the broker is there.",
        ),
        Panel(
            title="Collected for age",
            unit="short",
            queries=[Query(_or_zero(f"sum by (kind) (increase(video_collected_total[{RATE}]))"), "{{kind}}")],
            about="Uploads never made into a job, stale multiparts, inputs of jobs that ended long ago.",
        ),
    ),
)

PUSH: Final = Dashboard(
    "push",
    "Push",
    "Who is watching, and how fresh what they see is.",
    (
        Panel(
            title="Open connections",
            stacked=True,
            queries=[Query("sum by (transport) (video_push_connections)", "{{transport}}")],
        ),
        Panel(
            title="From event to socket",
            unit="s",
            queries=_quantiles("video_push_latency_seconds"),
            thresholds=(0.5, 1),
        ),
        Panel(
            title="Deliveries",
            unit="ops",
            queries=[Query(f"sum by (instance) (rate(video_push_deliveries_total[{RATE}]))", "{{instance}}")],
        ),
        Panel(
            title="Progress conflated for slow readers",
            unit="ops",
            queries=[Query(_or_zero(f"sum(rate(video_push_conflations_total[{RATE}]))"), "conflated")],
            about="Harmless: the newest progress counts, and ends are never conflated.",
        ),
        Panel(
            title="Connections closed by the server",
            unit="ops",
            stacked=True,
            queries=[Query(_or_zero(f"sum by (reason) (rate(video_push_evictions_total[{RATE}]))"), "{{reason}}")],
        ),
    ),
)

DASHBOARDS: Final = (SYSTEM_HEALTH, BUSINESS, RESOURCES, QUEUE, PUSH)
