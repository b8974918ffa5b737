"""The messages of the push channel, as models: what clients may say, what the server says, how it hangs up.

The AsyncAPI document is generated from these.  They change only by addition.
"""

from enum import IntEnum, StrEnum
from typing import Annotated, Final, Literal

import orjson
from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, model_validator

from services.common.jobs import Job, JobId

ALL_JOBS: Final = "*"
MAX_JOB_IDS: Final = 200

_Target = Annotated[str, Field(pattern=r"^(\*|[A-Za-z0-9][A-Za-z0-9_-]{0,63})$")]


class CloseCode(IntEnum):
    """Why the server closes a WebSocket, beyond what RFC 6455 has."""

    GOING_AWAY = 1001
    STREAM_CHANGED = 1012
    TRY_LATER = 1013
    BAD_MESSAGE = 4400
    NOT_ALLOWED = 4401
    WRONG_ORIGIN = 4403
    NOT_FOUND = 4404


class ErrorCode(StrEnum):
    """What an `error` message is about."""

    BAD_MESSAGE = "bad_message"
    RATE_LIMITED = "rate_limited"
    NOT_FOUND = "not_found"
    TOO_MANY_JOBS = "too_many_jobs"


class _Model(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _About(_Model):
    job_id: _Target | None = Field(None, description='A job, or "*" for all jobs of the caller')
    job_ids: Annotated[list[JobId], Field(max_length=MAX_JOB_IDS)] = Field(
        default=[], description="Several jobs at once"
    )

    @model_validator(mode="after")
    def _names_something(self) -> "_About":
        if self.job_id is None and not self.job_ids:
            raise ValueError("job_id or job_ids is needed")
        return self

    @property
    def targets(self) -> list[str]:
        """The jobs named, each once; "*" stands for all."""
        return list(dict.fromkeys([*([self.job_id] if self.job_id else []), *self.job_ids]))


class Subscribe(_About):
    """Ask for the events of jobs, from now on or from where an earlier connection ended."""

    type: Literal["subscribe"]
    after: Annotated[str, Field(max_length=64)] | None = Field(
        None, description="The cursor of the last message seen, from any notifier"
    )
    only: Literal["all", "terminal"] = Field(
        "all", description="`terminal`: no more than how the jobs end (completed, failed, cancelled)"
    )


class Unsubscribe(_About):
    """No more events of these jobs."""

    type: Literal["unsubscribe"]


class Ping(_Model):
    """Ask for a sign of life; browsers can't send the protocol's own pings."""

    type: Literal["ping"]


ClientMessage = Annotated[Subscribe | Unsubscribe | Ping, Field(discriminator="type")]
CLIENT_MESSAGES: Final[TypeAdapter[Subscribe | Unsubscribe | Ping]] = TypeAdapter(ClientMessage)


class Hello(_Model):
    """The first message of a connection."""

    type: Literal["hello"] = "hello"
    version: int = 1
    heartbeat_s: float = Field(description="The server gives a sign of life at least this often")
    max_message_bytes: int = Field(description="Largest message a client may send")
    max_jobs: int = Field(description="Jobs that a connection may be subscribed to by id")


class Subscribed(_Model):
    """The subscription stands.  Its events follow, beginning right after `cursor`."""

    type: Literal["subscribed"] = "subscribed"
    job_id: str | None = Field(description="As it was asked for; null if only `job_ids` was")
    job_ids: list[str] = []
    jobs: list[Job] = Field(description="The jobs as they are now; empty if `recovered`")
    truncated: bool = Field(default=False, description="True if jobs that ended long ago were left out of `jobs`")
    cursor: str
    recovered: bool = Field(
        description="True: every event since `after` follows.  False: `jobs` is the whole truth, events before it "
        "may have been missed"
    )


class Unsubscribed(_Model):
    """The subscription has ended."""

    type: Literal["unsubscribed"] = "unsubscribed"
    job_id: str | None
    job_ids: list[str] = []


class Pong(_Model):
    """The answer to `ping`.  Everything before `cursor`, where there is one, has been sent."""

    type: Literal["pong"] = "pong"
    cursor: str | None = None


class Error(_Model):
    """Something the client said could not be done."""

    type: Literal["error"] = "error"
    code: ErrorCode
    message: str
    job_id: str | None = None


class Goodbye(_Model):
    """The server is about to hang up; come back after `retry_after_s`, which differs by client."""

    type: Literal["goodbye"] = "goodbye"
    reason: str
    retry_after_s: float


ServerMessage = Hello | Subscribed | Unsubscribed | Pong | Error | Goodbye


def encode(message: ServerMessage) -> bytes:
    """`message` as JSON."""
    return message.model_dump_json(exclude_none=True).encode()


def subscribed(ask: Subscribe, jobs: list[bytes], cursor: str, *, recovered: bool, truncated: bool = False) -> bytes:
    """A `Subscribed`, put together from jobs that are JSON already: there may be hundreds."""
    shell = {
        "type": "subscribed",
        "job_id": ask.job_id,
        "job_ids": ask.job_ids,
        "cursor": cursor,
        "recovered": recovered,
        "truncated": truncated,
    }
    return orjson.dumps(shell)[:-1] + b',"jobs":[' + b",".join(jobs) + b"]}"
