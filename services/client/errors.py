"""What can go wrong, in words for whoever asked.

    ClientError
    ├── UnreachableError            nothing answers there
    ├── ApiError                    an answer that is an error: `status`, `detail`, `errors`
    │   ├── InvalidRequestError     400, 415, 422   it asks for what can't be
    │   ├── NotAllowedError         401, 403        who is asking?
    │   ├── NotFoundError           404             unknown, or somebody else's
    │   ├── ConflictError           409             not in the job's present state
    │   ├── TooLargeError           413
    │   ├── TooManyRequestsError    429             `retry_after_s`
    │   └── ServerError             5xx             `retry_after_s`
    ├── UploadError                 the file, or the way to the store; `resume` to go on with it later
    ├── DownloadError               the same in the other direction
    └── JobFailedError              the job ended without an output; `job` has the reason

The text of each is a sentence for a person.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from services.client.models import Job, UploadRef


class ClientError(Exception):
    """The base of all that this package raises of its own."""


class UnreachableError(ClientError):
    """Nothing answers at that address, or the connection broke and did not come back in time."""

    def __init__(self, url: str, reason: str = "") -> None:
        super().__init__(f"Nothing answers at {url}" + (f": {reason}." if reason else "."))
        self.url = url


class ApiError(ClientError):
    """An answer that is an error (application/problem+json).

    Attributes:
        status: the HTTP status.
        detail: a sentence that says what to do.
        errors: for validation, one `{field, message}` each.
        retry_after_s: seconds the server asks to stay away, if it does.
        repeated: True if an earlier try was lost on the way, so that this answer may be the effect of that one.
    """

    def __init__(
        self,
        status: int,
        detail: str,
        *,
        errors: Sequence[Mapping[str, str]] = (),
        retry_after_s: float | None = None,
        repeated: bool = False,
    ) -> None:
        fields = "; ".join(f"{error.get('field', '?')}: {error.get('message', '')}" for error in errors)
        super().__init__(f"{detail} ({fields})" if fields else detail)
        self.status = status
        self.detail = detail
        self.errors = [dict(error) for error in errors]
        self.retry_after_s = retry_after_s
        self.repeated = repeated


class InvalidRequestError(ApiError):
    """The request asks for what can't be."""


class NotAllowedError(ApiError):
    """A key is missing, or this one is not good for it."""


class NotFoundError(ApiError):
    """There is no such thing, or it is somebody else's."""


class ConflictError(ApiError):
    """The job's present state does not allow it."""


class TooLargeError(ApiError):
    """The file is larger than what is accepted."""


class TooManyRequestsError(ApiError):
    """One of the caller's limits is used up for the moment."""


class ServerError(ApiError):
    """The server has a problem of its own; the same request may succeed later."""


class UploadError(ClientError):
    """A file could not be sent.

    Attributes:
        resume: what has arrived is still in the store; hand this to `Client.upload` to go on.  None if there is
            nothing to go on with.
    """

    def __init__(self, message: str, resume: UploadRef | None = None) -> None:
        super().__init__(message)
        self.resume = resume


class DownloadError(ClientError):
    """An output could not be fetched whole."""


class JobFailedError(ClientError):
    """A job has ended FAILED or CANCELLED."""

    def __init__(self, job: Job) -> None:
        super().__init__(job.error.message if job.error else "The job was cancelled.")
        self.job = job


_BY_STATUS: dict[int, type[ApiError]] = {
    400: InvalidRequestError,
    401: NotAllowedError,
    403: NotAllowedError,
    404: NotFoundError,
    409: ConflictError,
    413: TooLargeError,
    415: InvalidRequestError,
    422: InvalidRequestError,
    429: TooManyRequestsError,
}
_SENTENCES = {
    401: "An API key is needed.",
    403: "This key does not allow that.",
    404: "There is nothing at this address; is the URL that of the front door?",
    413: "This is larger than what is accepted.",
    429: "Too many requests at once; wait a moment.",
}


def api_error(status: int, problem: object, *, retry_after_s: float | None = None, repeated: bool = False) -> ApiError:
    """The error for an answer.

    Args:
        status: the HTTP status, 400 or above.
        problem: the body as decoded JSON, or anything else where it was not problem+json.
        retry_after_s: the Retry-After header in seconds.
        repeated: True if an earlier try of the same request was lost.
    """
    body: Mapping[str, Any] = problem if isinstance(problem, Mapping) else {}
    detail = body.get("detail") or _SENTENCES.get(status) or f"The server answered with HTTP {status}."
    listed = body.get("errors")
    errors = [error for error in listed if isinstance(error, Mapping)] if isinstance(listed, list) else []
    kind = _BY_STATUS.get(status, ServerError if status >= 500 else ApiError)  # noqa: PLR2004 -- the class of 5xx
    return kind(status, str(detail), errors=errors, retry_after_s=retry_after_s, repeated=repeated)
