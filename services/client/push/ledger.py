"""What is known of the watched jobs, and what of that which comes in is news.

The rule is the one by which the gateway and the notifiers decide, so all of them tell the same story.  Pure.
"""

from collections.abc import Iterable, Mapping
from typing import Any, Final

from services.common.jobs import TERMINAL
from services.common.projection import Verdict, changes, judge

State = dict[str, Any]
_LIMIT: Final = 10_000
_NEEDED: Final = frozenset({"status", "input_path", "output_format", "output_path"})
_FIXED: Final = _NEEDED - {"status"} | {"filename", "options", "created_at"}


class Ledger:
    """Jobs by id, as plain JSON."""

    def __init__(self, limit: int = _LIMIT) -> None:
        """`limit` is how many jobs to remember; ended ones are forgotten first."""
        self._jobs: dict[str, State] = {}
        self._limit = limit

    def get(self, job_id: str) -> State | None:
        """What is known of a job."""
        return self._jobs.get(job_id)

    def unfinished(self) -> list[str]:
        """The jobs that have not ended."""
        return [job_id for job_id, job in self._jobs.items() if job["status"] not in TERMINAL]

    def all_done(self, job_ids: Iterable[str]) -> bool:
        """True if each of these is known to have ended."""
        return all((job := self._jobs.get(job_id)) and job["status"] in TERMINAL for job_id in job_ids)

    def forget(self, job_id: str) -> None:
        """No longer watched."""
        self._jobs.pop(job_id, None)

    def take_snapshot(self, job: Mapping[str, Any]) -> State | None:
        """A job as the server shows it; what is known now if that was news, else None."""
        known = self._jobs.get(job["job_id"])
        if known is not None and not _newer(job, known):
            return None
        return self._keep(dict(job))

    def take_event(self, event: Mapping[str, Any], base: Mapping[str, Any] | None = None) -> State | None:
        """An event; what is known now if that was news, else None.

        Args:
            event: as it came.
            base: the job as it is by now, for one that is not known; only what never changes is taken from it.

        Raises:
            KeyError: the event alone does not tell enough of a job that is not known, and there is no base.
        """
        known = self._jobs.get(event["job_id"])
        # The server has judged it already; that a higher attempt was opened may have been filtered out on the way here.
        reopened = known is not None and event["attempt"] > known["attempt"]
        if not reopened and judge(known, event) is not Verdict.APPLY:
            return None
        job = {**(known or {}), **changes(known, event)}
        if known is None and base is not None:
            job |= {name: base[name] for name in _FIXED & base.keys()}
        if not job.keys() >= _NEEDED:
            raise KeyError(event["job_id"])
        return self._keep(job)

    def _keep(self, job: State) -> State:
        self._jobs.pop(job["job_id"], None)  # a dict keeps the order of insertion: the longest silent comes first
        self._jobs[job["job_id"]] = job
        if len(self._jobs) > self._limit:
            ended = (job_id for job_id, known in self._jobs.items() if known["status"] in TERMINAL)
            self._jobs.pop(next(ended, next(iter(self._jobs))))
        return job


def _newer(job: Mapping[str, Any], known: Mapping[str, Any]) -> bool:
    if job["attempt"] != known["attempt"]:
        return bool(job["attempt"] > known["attempt"])
    if known["status"] in TERMINAL:
        return False
    return job["status"] in TERMINAL or bool(job["seq"] > known["seq"])
