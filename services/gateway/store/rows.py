"""Between rows of `jobs`, the plain job that decisions are made on, and the JSON that the API shows."""

from collections.abc import Mapping
from typing import Any, Final

import orjson
from sqlalchemy.engine import RowMapping

from services.common.jobs import JOB_FIELDS, Job
from services.gateway.store.schema import jobs

# Columns that hold JSON text.
JSON_FIELDS: Final = frozenset({"progress", "options", "error", "warnings", "plan", "outputs"})
# The order in which the API shows a job.
API_FIELDS: Final = tuple(Job.model_fields)
COLUMNS: Final = tuple(column.name for column in jobs.columns)
# Fixed when a job is made, whatever a later event says.
FIXED: Final = frozenset({"job_id", "tenant", "created_at", "filename", "input_path", "output_format", "options"})
MUTABLE: Final = tuple(name for name in COLUMNS if name not in FIXED)

JobState = dict[str, Any]
"""A row with its JSON decoded: the fields of `services.common.jobs.Job`, times as text, and the gateway's own."""

NO_PROGRESS: Final = {"percent": None, "fps": None, "speed": None, "eta_s": None}


def decode(row: Mapping[str, Any] | RowMapping) -> JobState:
    """The state in a row."""
    state = dict(row)
    for name in JSON_FIELDS:
        text = state[name]
        state[name] = None if text is None else orjson.loads(text)
    return state


def encode(state: Mapping[str, Any]) -> dict[str, Any]:
    """The row for a state."""
    row = dict(state)
    for name in JSON_FIELDS & row.keys():
        value = row[name]
        row[name] = None if value is None else orjson.dumps(value).decode()
    return row


def blank(**fields: Any) -> JobState:
    """A state with `fields`, and every other column at its beginning."""
    state: JobState = dict.fromkeys(COLUMNS)
    state |= {"progress": NO_PROGRESS, "options": {}, "warnings": [], "outputs": []}
    state |= {"attempt": 1, "retries": 0, "seq": 0}
    return state | fields


_BLANK_ROW: Final = encode(blank())


def new_row(options: Mapping[str, Any], **fields: Any) -> dict[str, Any]:
    """`encode(blank(options=options, **fields))`, in a fraction of the time: every new job takes this way."""
    text = orjson.dumps(options).decode() if options else "{}"
    return {**_BLANK_ROW, "options": text, **fields}


def storable(value: Any) -> Any:
    """`value` with the one character that no database text can hold replaced."""
    return value.replace("\0", "\ufffd") if isinstance(value, str) else value


def render(row: Mapping[str, Any] | RowMapping) -> dict[str, Any]:
    """A row as the API shows it, for orjson: JSON text is spliced in as it is."""
    return {
        name: orjson.Fragment(value) if name in JSON_FIELDS and value is not None else value
        for name, value in ((name, row[name]) for name in API_FIELDS)
    }


def etag(attempt: int, seq: int) -> str:
    """The validator of a job: every change of what the API shows of it raises one of the two."""
    return f'"{attempt}.{seq}"'


assert set(COLUMNS) > JOB_FIELDS
