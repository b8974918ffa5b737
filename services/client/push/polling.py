"""The last resort: asks the API for the jobs again and again, and hands each answer on as a snapshot."""

import asyncio
from collections.abc import Collection, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import quote

from services.client.errors import ApiError, ClientError, NotFoundError
from services.client.push.session import Opening
from services.client.push.terms import ALL_JOBS, Close, Ending, Frame, SessionEndedError, Transport, ending_of_status
from services.client.rest import Rest
from services.common.jobs import TERMINAL

_EVERY_S: Final = 1.0  # progress may be two seconds old
_PATIENCE_S: Final = 5.0
_AT_ONCE: Final = 8
_PAGE: Final = "100"


class PollingSession:
    """See `Session`.

    It asks for the newest jobs, where all are wanted, and for those by id that have not ended as far as it knows.
    """

    transport = Transport.POLLING

    def __init__(self, rest: Rest, targets: Collection[str]) -> None:
        self._rest = rest
        self._all = ALL_JOBS in targets
        self._open = dict.fromkeys(job_id for job_id in targets if job_id != ALL_JOBS)
        self._etags: dict[str, str] = {}
        self._gone: list[str] = []
        self._turns = asyncio.Semaphore(_AT_ONCE)
        self._woken = asyncio.Event()
        self._woken.set()

    async def receive(self) -> Frame | None:
        """See `Session`."""
        with suppress(TimeoutError):
            await asyncio.wait_for(self._woken.wait(), _EVERY_S)
        self._woken.clear()
        try:
            page = await self._page() if self._all else []
            seen = {job["job_id"] for job in page}
            jobs = [*page, *await self._each([job_id for job_id in self._open if job_id not in seen])]
        except ApiError as error:
            raise SessionEndedError(ending_of_status(error.status, error.retry_after_s)) from None
        except ClientError as error:
            raise SessionEndedError(Ending(Close.LOST, str(error))) from None
        for job in jobs:
            if job["status"] in TERMINAL:
                self._open.pop(job["job_id"], None)
            else:
                self._open[job["job_id"]] = None
        gone, self._gone = self._gone, []
        return {"type": "subscribed", "jobs": jobs, "gone": gone, "recovered": False}

    async def add(self, job_ids: Collection[str]) -> None:
        """See `Session`."""
        self._open |= dict.fromkeys(job_ids)
        for job_id in job_ids:
            self._etags.pop(job_id, None)
        self._woken.set()

    async def mark(self) -> None:
        """See `Session`: each answer is a snapshot."""

    async def aclose(self) -> None:
        """See `Session`: there is nothing to close."""

    async def _page(self) -> list[Mapping[str, Any]]:
        reply = await self._rest.call("GET", "/jobs", params={"limit": _PAGE}, patience_s=_PATIENCE_S)
        return list(reply.body["jobs"])

    async def _each(self, job_ids: Collection[str]) -> list[Mapping[str, Any]]:
        found = await asyncio.gather(*(self._one(job_id) for job_id in job_ids))
        return [job for job in found if job is not None]

    async def _one(self, job_id: str) -> Mapping[str, Any] | None:
        known = self._etags.get(job_id)
        headers = {"If-None-Match": known} if known else {}
        path = f"/jobs/{quote(job_id, safe='')}"
        async with self._turns:
            try:
                reply = await self._rest.call("GET", path, headers=headers, patience_s=_PATIENCE_S)
            except NotFoundError:
                self._open.pop(job_id, None)
                self._gone.append(job_id)  # deleted, or never there: for the watch to find out
                return None
        if etag := reply.headers.get("ETag"):
            self._etags[job_id] = etag
        job: Mapping[str, Any] | None = reply.body
        return job


async def open_polling(opening: Opening) -> tuple[PollingSession, Frame]:
    """Ask once; the session, and the first answer.

    Raises:
        SessionEndedError: there is none.
    """
    session = PollingSession(opening.rest, opening.asked.targets)
    frame = await session.receive()
    assert frame is not None
    return session, frame
