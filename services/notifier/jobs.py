"""What is known of each tenant's jobs, built from the events alone: the source of snapshots."""

from collections import OrderedDict
from collections.abc import Iterable, Mapping
from typing import Any, Final, NamedTuple

import orjson

from services.common.jobs import TERMINAL
from services.common.projection import Verdict, changes, judge

_TERMINAL: Final = frozenset(status.value for status in TERMINAL)
# A job looks the same to a client whether it comes from the API or from here.
_BLANK: Final[Mapping[str, Any]] = {
    "job_id": None,
    "status": None,
    "stage": None,
    "progress": {"percent": None, "fps": None, "speed": None, "eta_s": None},
    "filename": None,
    "input_path": None,
    "output_format": None,
    "output_path": None,
    "options": {},
    "attempt": 1,
    "seq": 0,
    "error": None,
    "warnings": [],
    "plan": None,
    "outputs": [],
    "created_at": None,
    "started_at": None,
    "finished_at": None,
    "updated_at": None,
}


class Record:
    """One job: its fields, and the offset of the last event that changed it."""

    __slots__ = ("_json", "fields", "offset")

    def __init__(self) -> None:
        self.fields: dict[str, Any] = {}
        self.offset = -1
        self._json: bytes | None = None

    @property
    def ended(self) -> bool:
        """True if the job is over."""
        return self.fields["status"] in _TERMINAL

    def apply(self, event: Mapping[str, Any], offset: int) -> dict[str, Any]:
        """Take in an event that `judge` has let pass; returns the fields it set."""
        fields = changes(self.fields or None, event)
        self.fields.update(fields)
        self.offset = offset
        self._json = None
        return fields

    def json(self) -> bytes:
        """The job as snapshots show it; made once for each state it is in."""
        if self._json is None:
            self._json = orjson.dumps({**_BLANK, **self.fields})
        return self._json


class Snapshot(NamedTuple):
    """Jobs as JSON objects, newest last; `truncated` if some that are over were left out."""

    jobs: list[bytes]
    truncated: bool


class _Jobs:
    """A tenant's jobs, in the order of their last events."""

    __slots__ = ("ended", "records", "snapshot")

    def __init__(self) -> None:
        self.records: dict[str, Record] = {}
        self.ended = 0
        self.snapshot: Snapshot | None = None  # of all of them, until one changes

    def take(self, ended_limit: int) -> Snapshot:
        """All jobs that go on, and the `ended_limit` of the others that changed last."""
        if self.snapshot is None:
            surplus, jobs = self.ended - ended_limit, []
            for record in self.records.values():
                if surplus > 0 and record.ended:
                    surplus -= 1
                else:
                    jobs.append(record.json())
            self.snapshot = Snapshot(jobs, truncated=len(jobs) < len(self.records))
        return self.snapshot


class JobBook:
    """The jobs of all tenants, at most `limit` of them: those that ended longest ago are forgotten first.

    Snapshots of all of a tenant's jobs have those that go on and `ended_limit` of the others.
    """

    def __init__(self, *, limit: int, ended_limit: int) -> None:
        self._limit = limit
        self._ended_limit = ended_limit
        self._tenants: dict[str, _Jobs] = {}
        # Each job is in one of these, in the order of its last event.
        self._active: OrderedDict[tuple[str, str], None] = OrderedDict()
        self._ended: OrderedDict[tuple[str, str], None] = OrderedDict()

    def __len__(self) -> int:
        return len(self._active) + len(self._ended)

    def get(self, tenant: str, job_id: str) -> Record | None:
        """The job, if it is known and the tenant's own."""
        jobs = self._tenants.get(tenant)
        return None if jobs is None else jobs.records.get(job_id)

    def apply(self, event: Mapping[str, Any], offset: int) -> dict[str, Any] | None:
        """Take in a decoded event.

        Returns:
            The event as it is to be passed on, with what `changes` put right in it; None if it changes nothing.
        """
        tenant, job_id = event["tenant"], event["job_id"]
        known = self.get(tenant, job_id)
        if judge(known.fields if known else None, event) is not Verdict.APPLY:
            return None
        jobs = self._tenants.setdefault(tenant, _Jobs())
        record = jobs.records.pop(job_id, None) or Record()
        jobs.ended -= known is not None and known.ended
        fields = record.apply(event, offset)
        jobs.records[job_id] = record  # the last now
        jobs.ended += record.ended
        jobs.snapshot = None
        self._file((tenant, job_id), ended=record.ended)
        corrected = {name: value for name, value in fields.items() if name in event}
        return {**event, **corrected}

    def snapshot(self, tenant: str, job_ids: Iterable[str]) -> Snapshot:
        """The named jobs, as far as they are known and the tenant's own."""
        found = (self.get(tenant, job_id) for job_id in job_ids)
        return Snapshot([record.json() for record in found if record is not None], truncated=False)

    def snapshot_all(self, tenant: str) -> Snapshot:
        """The tenant's jobs, the newest last."""
        jobs = self._tenants.get(tenant)
        return Snapshot([], truncated=False) if jobs is None else jobs.take(self._ended_limit)

    def _file(self, key: tuple[str, str], *, ended: bool) -> None:
        here, there = (self._ended, self._active) if ended else (self._active, self._ended)
        there.pop(key, None)
        here[key] = None
        here.move_to_end(key)
        while len(self) > self._limit:
            oldest, _ = (self._ended or self._active).popitem(last=False)
            self._forget(*oldest)

    def _forget(self, tenant: str, job_id: str) -> None:
        jobs = self._tenants[tenant]
        jobs.ended -= jobs.records.pop(job_id).ended
        jobs.snapshot = None
        if not jobs.records:
            del self._tenants[tenant]
