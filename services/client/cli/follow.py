"""One watch for all the jobs of a command, told apart again."""

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import TracebackType
from typing import Self

from services.client.api import Client
from services.client.errors import ClientError
from services.client.models import Job
from services.client.push.feed import OnState
from services.client.push.watch import Watch

OnJob = Callable[[Job], None]


class Follower:
    """Follows jobs to their ends over one connection; the context within which that goes on."""

    def __init__(self, client: Client, on_state: OnState, *, give_up_after_s: float) -> None:
        self._client = client
        self._on_state = on_state
        self._give_up_after_s = give_up_after_s
        self._watch: Watch | None = None
        self._reader: asyncio.Task[None] | None = None
        self._followed: dict[str, tuple[OnJob, asyncio.Future[Job]]] = {}

    async def __aenter__(self) -> Self:
        """Nothing is connected before there is a job."""
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Let go of the connection."""
        if self._reader is not None:
            self._reader.cancel()
            with suppress(asyncio.CancelledError):
                await self._reader
        if self._watch is not None:
            await self._watch.aclose()

    async def follow(self, job: Job, on_job: OnJob) -> Job:
        """The job at its end; `on_job` is told of each change until then.

        Raises:
            ClientError: it can't be followed any longer.
        """
        end: asyncio.Future[Job] = asyncio.get_running_loop().create_future()
        self._followed[job.job_id] = (on_job, end)
        on_job(job)
        if self._watch is None or self._reader is None:
            self._watch = self._client.watch(
                [job.job_id], until_done=False, on_state=self._on_state, give_up_after_s=self._give_up_after_s
            )
            self._reader = asyncio.create_task(self._read(self._watch))
        else:
            await self._watch.add(job.job_id)
        try:
            return await end
        finally:
            del self._followed[job.job_id]
            if self._watch is not None:
                self._watch.discard(job.job_id)

    async def _read(self, watch: Watch) -> None:
        try:
            async for event in watch:
                if (known := self._followed.get(event.job.job_id)) is None:
                    continue
                on_job, end = known
                on_job(event.job)
                if event.job.done and not end.done():
                    end.set_result(event.job)
        except ClientError as error:
            self._watch = self._reader = None  # another job may try anew
            for _, end in self._followed.values():
                if not end.done():
                    end.set_exception(error)
