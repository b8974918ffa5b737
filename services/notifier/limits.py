"""The numbers by which the hub decides, and those it counts."""

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class HubConfig:
    """The hub's limits.  Times in seconds."""

    window_s: float = 0.03
    gather_s: float = 0.002  # the first event after a quiet time waits this long for those that come with it
    spacing_s: float = 20e-6  # between flushes, for each write of the last one
    heartbeat_s: float = 20.0
    history_bytes: int = 64 << 20
    max_jobs_known: int = 10_000
    snapshot_ended: int = 500
    batch_bytes: int = 64 << 10  # a group's events go out early when they are this many
    backlog_bytes: int = 256 << 10  # held for a slow reader before it is given up
    replay_bytes: int = 1 << 20
    conflate_replay_above: int = 256 << 10
    unread_bytes: int = 2 << 20  # a client that asks for more while this much is unread is given up
    max_message_bytes: int = 16 << 10
    messages_burst: int = 250  # enough to subscribe to every job that may be named, one by one
    messages_per_s: float = 20.0
    warning_stands_s: float = 60.0  # a second offence within this time closes the connection
    not_found_after_s: float = 2.0
    ahead_wait_s: float = 2.0
    retry_s: float = 0.5  # shortest wait that clients are told at a shutdown
    retry_spread_s: float = 3.0


@dataclass(slots=True)
class Stats:
    """Counts since the start."""

    deliveries: int = 0
    conflations: int = 0
    evictions: dict[str, int] = field(default_factory=dict)
