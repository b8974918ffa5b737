"""An async client of the conversion service, and the command line `cvc` on top of it.

    from services.client import Client

    async with Client("http://localhost:8080") as client:
        ...

docs/client.md tells it by example.
"""

from services.client.api import Client
from services.client.base import DEFAULT_URL
from services.client.errors import (
    ApiError,
    ClientError,
    ConflictError,
    DownloadError,
    InvalidRequestError,
    JobFailedError,
    NotAllowedError,
    NotFoundError,
    ServerError,
    TooLargeError,
    TooManyRequestsError,
    UnreachableError,
    UploadError,
)
from services.client.models import DeadLetter, Download, Formats, Job, PlanEstimate, Status, Uploaded, UploadRef
from services.client.push.feed import WatchState
from services.client.push.terms import Transport
from services.client.push.watch import Event, Watch

__all__ = [
    "DEFAULT_URL",
    "ApiError",
    "Client",
    "ClientError",
    "ConflictError",
    "DeadLetter",
    "Download",
    "DownloadError",
    "Event",
    "Formats",
    "InvalidRequestError",
    "Job",
    "JobFailedError",
    "NotAllowedError",
    "NotFoundError",
    "PlanEstimate",
    "ServerError",
    "Status",
    "TooLargeError",
    "TooManyRequestsError",
    "Transport",
    "UnreachableError",
    "UploadError",
    "UploadRef",
    "Uploaded",
    "Watch",
    "WatchState",
]
