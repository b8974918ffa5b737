"""From events to the state of a job: the one rule by which every reader decides what counts.

Events may come late, twice or out of order, and two workers may for a while believe they hold the same job.
`judge` says which of them change the job; the gateway applies it to its rows and the notifier to its snapshots,
so both tell the same story.  Events are plain JSON objects here, for the readers never need more.
"""

from collections.abc import Mapping
from enum import Enum
from typing import Any

from services.common.jobs import JOB_FIELDS, LEGAL, MAX_PERCENT_BEFORE_COMPLETED, TERMINAL, Status

# A new attempt may only be opened by these; an event of any other kind with a higher attempt has overtaken its
# `job.retrying` and opens it too, unless the job has ended meanwhile.
_REOPENING = "job.queued"


class Verdict(Enum):
    """What to do with an event."""

    APPLY = "apply"
    DUPLICATE = "duplicate"  # already seen, or overtaken by a later event of the same attempt
    EARLY = "early"  # progress that came another way, and before the start of its attempt
    STALE = "stale"  # of an attempt that has been superseded: its worker should stop
    ENDED = "ended"  # the job is already over: its worker should stop


def judge(job: Mapping[str, Any] | None, event: Mapping[str, Any]) -> Verdict:  # noqa: PLR0911 -- a decision table
    """Whether `event` changes `job`.

    Args:
        job: the state known so far (`status`, `attempt`, `seq`); None for a job never heard of.
        event: a decoded event of `video.events`.
    """
    if job is None:
        return Verdict.APPLY
    attempt, current = event.get("attempt", 1), job["attempt"]
    if attempt < current:
        return Verdict.STALE
    status = Status(job["status"])
    if status in TERMINAL:
        reopens = attempt > current and event["type"] == _REOPENING
        return Verdict.APPLY if reopens else Verdict.ENDED
    if attempt > current:
        return Verdict.APPLY
    target = Status(event["status"])
    if target in TERMINAL:
        # An outcome counts whatever its number: the writer may have numbered it without knowing the last one.
        return Verdict.APPLY
    if event["seq"] <= job["seq"] or target not in LEGAL[status]:
        return Verdict.DUPLICATE
    return Verdict.APPLY


def changes(job: Mapping[str, Any] | None, event: Mapping[str, Any]) -> dict[str, Any]:
    """The fields of the job that an applied `event` sets, percent kept from falling within an attempt."""
    fields = {name: event[name] for name in JOB_FIELDS & event.keys()}
    fields["updated_at"] = event["time"]
    if job is None:
        if fields.get("created_at") is None:
            fields["created_at"] = event["time"]
        return fields
    if fields.get("created_at") is None:
        fields.pop("created_at", None)
    fields["seq"] = max(event["seq"], job["seq"] + 1)
    if event["type"] == "job.progress":
        fields["progress"] = _risen(job, event)
    return fields


def _risen(job: Mapping[str, Any], event: Mapping[str, Any]) -> dict[str, Any]:
    progress = dict(event.get("progress") or {})
    before = job.get("progress") or {} if event.get("attempt", 1) == job["attempt"] else {}
    known = [p for p in (progress.get("percent"), before.get("percent")) if p is not None]
    if known:
        progress["percent"] = min(max(known), MAX_PERCENT_BEFORE_COMPLETED)
    return progress
