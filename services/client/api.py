"""The client: every call of the API as a method, and the push channel as an async iterator."""

import mimetypes
from collections.abc import AsyncIterable, AsyncIterator, Collection, Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, BinaryIO, Final
from uuid import uuid4

import anyio.to_thread

from services.client.base import BaseClient, job_path
from services.client.download import Fetch, OnProgress, fetch_to_file
from services.client.errors import ConflictError, JobFailedError, NotFoundError
from services.client.models import DeadLetter, Download, Formats, Job, PlanEstimate, Status, Uploaded, UploadRef
from services.client.push.feed import OnState
from services.client.push.terms import Transport
from services.client.push.watch import Watch
from services.client.sources import FileSource, StreamSource
from services.client.upload import OnBegun, Upload

_PAGE: Final = 100


class Client(BaseClient):
    """A conversion service.

        async with Client("http://localhost:8080") as client:
            upload = await client.upload("holiday.avi")
            job = await client.submit(upload.input_path, "mp4", filename=upload.filename)
            async for event in client.watch([job.job_id]):
                print(event.type, event.job.progress.percent)
            await client.download(job.job_id, "holiday.mp4")

    Every method may raise `ApiError` (the server refused; there is a subclass for each reason) and `UnreachableError`
    (it could not be reached for `patience_s` seconds); the docstrings name what else there is.
    """

    # --- what there is ------------------------------------------------------------------------------------------

    async def formats(self) -> Formats:
        """What can be asked for: formats, codecs, options, limits."""
        return Formats.model_validate((await self._api.call("GET", "/formats")).body)

    async def allowed(self) -> None:
        """Raise `NotAllowedError` unless the service lets this caller in."""
        await self._api.call("GET", "/jobs", params={"limit": "1"})

    async def ready(self) -> Mapping[str, str]:
        """How the gateway is doing: for each of its parts `ok`, or what is wrong.  Never raises `ServerError`."""
        body = (await self._api.call("GET", "/readyz", accept=(503,), patience_s=0.0)).body
        checks: Mapping[str, str] = body.get("checks", {})
        return checks

    # --- uploads ------------------------------------------------------------------------------------------------

    async def upload(
        self,
        source: str | Path | BinaryIO | AsyncIterable[bytes],
        *,
        filename: str | None = None,
        content_type: str | None = None,
        resume: UploadRef | None = None,
        parallel: int = 4,
        on_progress: OnProgress | None = None,
        on_begun: OnBegun | None = None,
    ) -> Uploaded:
        """Send a file in parts, several at once; a part that is cut off is sent again.

        Args:
            source: a path, or bytes that come by only once (a pipe, an async iterable).
            filename: the user's own name for it; the path's by default.
            content_type: of the file; guessed from its name by default.
            resume: go on with this earlier upload of the same file, if the store still has it.
            parallel: parts under way at once.  A stream is held in memory, 8 MiB each; a file is not.
            on_progress: called with the bytes done so far and all there are, None while unknown.
            on_begun: called once with what `resume` takes, if the source can be read a second time.

        Raises:
            UploadError: the file can't be read, is empty, or changed meanwhile; or the store refused.
        """
        if isinstance(source, str | Path):
            path = Path(source)
            part_size = resume.part_size if resume else None
            parts: FileSource | StreamSource = await anyio.to_thread.run_sync(FileSource, path, part_size)
            name = filename or path.name
        else:
            parts, name, resume = StreamSource(source), filename or "stream", None
        kind = content_type or mimetypes.guess_type(name)[0] or "application/octet-stream"
        upload = Upload(self._api, parts, name, kind, parallel=parallel, on_progress=on_progress, on_begun=on_begun)
        return await upload.run(resume)

    # --- jobs ---------------------------------------------------------------------------------------------------

    async def submit(
        self,
        input_path: str,
        output_format: str,
        *,
        options: Mapping[str, Any] | None = None,
        filename: str | None = None,
        idempotency_key: str | None = None,
    ) -> Job:
        """Make a job of an uploaded file; it is on disk when this returns.

        Args:
            input_path: as `upload` returned it.
            output_format: a name from `formats`.
            options: as the schema in `formats` says.
            filename: the user's own name for the file; the result is called after it.
            idempotency_key: the same key and request give the same job; a new one by default, so that a lost
                answer never makes two jobs.
        """
        body = {
            "input_path": input_path,
            "output_format": output_format,
            "options": dict(options or {}),
            "filename": filename,
        }
        headers = {"Idempotency-Key": idempotency_key or str(uuid4())}
        reply = await self._api.call("POST", "/jobs", json=body, headers=headers, repeatable=True, conflict_passes=True)
        return Job.model_validate(reply.body)

    async def plan(
        self, input_path: str, output_format: str, *, options: Mapping[str, Any] | None = None
    ) -> PlanEstimate:
        """What a job would do to an uploaded file, without doing it."""
        body = {"input_path": input_path, "output_format": output_format, "options": dict(options or {})}
        reply = await self._api.call("POST", "/jobs/plan", json=body, repeatable=True, timeout_s=120.0)
        return PlanEstimate.model_validate(reply.body)

    async def list(self, *, status: Status | str | None = None, page_size: int = _PAGE) -> AsyncIterator[Job]:
        """The caller's jobs, newest first, fetched `page_size` at a time as they are asked for."""
        params = {"limit": str(page_size)} | ({"status": str(status)} if status else {})
        while True:
            body = (await self._api.call("GET", "/jobs", params=params)).body
            for job in body["jobs"]:
                yield Job.model_validate(job)
            if not body["next_cursor"]:
                return
            params["cursor"] = body["next_cursor"]

    async def cancel(self, job_id: str) -> Job:
        """Stop a job.

        Raises:
            ConflictError: it has ended already.
        """
        try:
            reply = await self._api.call("POST", job_path(job_id, "/cancel"), repeatable=True)
        except ConflictError as error:
            if error.repeated and (job := await self.get(job_id)).status is Status.CANCELLED:
                return job  # by the try whose answer was lost
            raise
        return Job.model_validate(reply.body)

    async def retry(self, job_id: str) -> Job:
        """Run a job again that failed or was cancelled.

        Raises:
            ConflictError: it is in another state, or its input is gone.
        """
        await self._caught_up(job_id)
        return Job.model_validate((await self._api.call("POST", job_path(job_id, "/retry"))).body)

    async def delete(self, job_id: str) -> None:
        """Remove a job and its files.

        Raises:
            ConflictError: it is being worked on; cancel it first.
        """
        await self._caught_up(job_id)
        # It is there, so a 404 now can only come from a try whose answer was lost on the way.
        with suppress(NotFoundError):
            await self._api.call("DELETE", job_path(job_id))

    async def wait(self, job_id: str, *, on_state: OnState | None = None) -> Job:
        """Wait for the end of a job.

        Raises:
            JobFailedError: it ended without an output.
        """
        job = await self.get(job_id)
        if not job.done:
            async with self.watch([job_id], on_state=on_state) as events:
                async for event in events:
                    job = event.job
        if job.status is not Status.COMPLETED:
            raise JobFailedError(job)
        return job

    def watch(
        self,
        job_ids: Collection[str] | str,
        *,
        after: str | None = None,
        ends_only: bool = False,
        until_done: bool = True,
        on_state: OnState | None = None,
        transports: Collection[Transport] = tuple(Transport),
        give_up_after_s: float | None = None,
    ) -> Watch:
        """What happens to jobs, as it happens, from how they are now on.

        It comes over a WebSocket, Server-Sent Events where those are blocked, or polling where those are blocked
        too.  A lost connection is opened anew, with jittered backoff, and goes on from the place reached: no event
        is missed, none told twice; where a gap could not be avoided a `snapshot` tells how the job is by then.

        Args:
            job_ids: which jobs; `"*"` for all of the caller's, those to come included.
            after: a cursor of an earlier watch of the same jobs, to be told what has happened since.
            ends_only: tell no more than how the jobs end.
            until_done: end with the last of the jobs (never, for `"*"`).
            on_state: called when the connection comes up or is lost.
            transports: only these.
            give_up_after_s: raise `UnreachableError` when nothing can be heard for so long; never by default.
        """
        watch = Watch(
            self._api,
            [job_ids] if isinstance(job_ids, str) else job_ids,
            on_end=self._ended.append,
            after=after,
            ends_only=ends_only,
            until_done=until_done,
            on_state=on_state,
            transports=transports,
            give_up_after_s=give_up_after_s,
        )
        self._watches.add(watch)
        return watch

    # --- outputs ------------------------------------------------------------------------------------------------

    async def locate(self, job_id: str, *, kind: str | None = None) -> Download:
        """Where an output of a job is, for a while: the main one, or the one whose `kind` it is.

        Raises:
            ConflictError: there is none.
        """
        await self._caught_up(job_id)
        return await self._locate(job_id, kind)

    async def _locate(self, job_id: str, kind: str | None) -> Download:
        params = {"kind": kind} if kind else None
        return Download.model_validate((await self._api.call("GET", job_path(job_id, "/download"), params=params)).body)

    async def download(
        self,
        job_id: str,
        target: str | Path | BinaryIO,
        *,
        kind: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Download:
        """Fetch an output of a job.

        Args:
            job_id: which.
            target: a path, which appears when it is whole; or anything with `write`, which gets the bytes in order.
            kind: which of the job's `outputs`, such as `thumbnail`; the main one by default.
            on_progress: called with the bytes done so far and all there are.

        Raises:
            ConflictError: there is no output.
            DownloadError: it can't be fetched whole, or not be written.
        """
        job = await self._caught_up(job_id)
        locate = partial(self._locate, job_id, kind)
        if not isinstance(target, str | Path):
            return await Fetch(self._api, locate, target, on_progress=on_progress).run()
        tag = f"{job.job_id}-{job.attempt}{f'-{kind}' if kind else ''}"
        return await fetch_to_file(self._api, locate, Path(target), tag=tag, on_progress=on_progress)

    # --- dead letters -------------------------------------------------------------------------------------------

    async def dead_letters(self, *, page_size: int = _PAGE) -> AsyncIterator[DeadLetter]:
        """Work that no transcoder could deal with, newest first."""
        params = {"limit": str(page_size)}
        while True:
            body = (await self._api.call("GET", "/dead-letters", params=params)).body
            for letter in body["dead_letters"]:
                yield DeadLetter.model_validate(letter)
            if len(body["dead_letters"]) < page_size:
                return
            params["before"] = str(body["dead_letters"][-1]["id"])

    async def redrive(self, letter_id: int) -> None:
        """Put a dead letter back into the queue."""
        await self._api.call("POST", f"/dead-letters/{letter_id}/redrive")
