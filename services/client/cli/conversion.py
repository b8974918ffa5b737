"""Files through the service, several at once: send, submit, follow, fetch.  One that fails does not stop the others."""

import asyncio
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from services.client.api import Client
from services.client.cli.follow import Follower
from services.client.cli.inputs import Item
from services.client.cli.reports import Report, Reporter
from services.client.cli.resumes import slot_for
from services.client.cli.running import Exit, say
from services.client.cli.text import size_text
from services.client.errors import ClientError, ConflictError, JobFailedError
from services.client.models import Job, Uploaded
from services.common.jobs import Status

_CANCEL_WITHIN_S: Final = 10.0


@dataclass(frozen=True, slots=True)
class Order:
    """What is wanted of each file.

    Attributes:
        output_format, options: of the job.
        parallel: files sent, or fetched, at once; any number may wait for their conversion meanwhile.
        patience_s: how long the push channel may be away.
        detach: True to leave once the jobs are made.
        remove: True to remove each job and its files from the service when its result is here.
        resumes: where unfinished uploads are remembered.
    """

    output_format: str
    options: Mapping[str, Any]
    parallel: int
    patience_s: float
    detach: bool
    remove: bool
    resumes: Path


@dataclass(slots=True)
class Conversion:
    """One file on its way."""

    item: Item
    order: Order
    client: Client
    report: Report
    job: Job | None = None
    ok: bool = False
    sent: int = 0

    async def run(self, follower: Follower, slots: asyncio.Semaphore) -> None:
        """All the way.  What goes wrong is told by the report, and in `ok`."""
        try:
            async with slots:
                self.job = job = await self._submit(await self._send())
            if self.order.detach:
                self.report.job(job)
                self.ok = True
                return
            self.job = job = await follower.follow(job, self.report.job)
            if job.status is not Status.COMPLETED:
                raise JobFailedError(job)
            async with slots:
                await self._fetch(job)
        except (ClientError, OSError) as error:
            self.report.failed(_words(error), self.job)
        else:
            self.ok = True

    async def _send(self) -> Uploaded:
        def on_progress(done: int, total: int | None) -> None:
            self.sent = done
            self.report.transfer("uploading", done, total)

        source = self.item.source
        if source is None:
            return await self.client.upload(sys.stdin.buffer, filename=self.item.name, on_progress=on_progress)
        with slot_for(self.order.resumes, self.client.url, source) as slot:
            uploaded = await self.client.upload(source, resume=slot.upload, on_progress=on_progress, on_begun=slot.save)
            slot.clear()
            return uploaded

    async def _submit(self, uploaded: Uploaded) -> Job:
        making = asyncio.create_task(
            self.client.submit(
                uploaded.input_path,
                self.order.output_format,
                options=self.order.options,
                filename=uploaded.filename,
            )
        )
        try:
            return await asyncio.shield(making)
        except asyncio.CancelledError:
            # The service may have it already: wait for its name, so that it can be cancelled too.
            self.job = await making
            raise

    async def _fetch(self, job: Job) -> None:
        target = self.item.target
        if target is not None:
            target.parent.mkdir(parents=True, exist_ok=True)
        info = await self.client.download(
            job.job_id,
            sys.stdout.buffer if target is None else target,
            on_progress=lambda done, total: self.report.transfer("downloading", done, total),
        )
        if target is None:
            sys.stdout.buffer.flush()
        if self.order.remove:
            await self.client.delete(job.job_id)
        where = "-" if target is None else str(target)
        self.report.finished(where, f"{size_text(self.sent)} → {size_text(info.size)}", job)


def _words(error: Exception) -> str:
    if isinstance(error, OSError):
        return f"{error.filename or 'The file'}: {error.strerror}."
    return str(error)


async def convert_all(client: Client, items: Sequence[Item], order: Order, reporter: Reporter) -> Exit:
    """Convert every item; FAILED if one of them has not become what was wanted.

    When it is cancelled, the jobs it has made and not seen the end of are cancelled too.
    """
    conversions: list[Conversion] = []
    slots = asyncio.Semaphore(order.parallel)
    try:
        with reporter:
            conversions += [Conversion(item, order, client, reporter.begin(item.name)) for item in items]
            async with (
                Follower(client, reporter.feed, give_up_after_s=order.patience_s) as follower,
                asyncio.TaskGroup() as group,
            ):
                for conversion in conversions:
                    group.create_task(conversion.run(follower, slots))
    except asyncio.CancelledError:
        await _cancel([conversion.job for conversion in conversions if conversion.job], client)
        raise
    return Exit.OK if all(conversion.ok for conversion in conversions) else Exit.FAILED


async def _cancel(jobs: Sequence[Job], client: Client) -> None:
    running = [job for job in jobs if not job.done]
    if not running:
        return
    say(f"Cancelling {len(running)} job{'s' if len(running) > 1 else ''} …")
    async with asyncio.timeout(_CANCEL_WITHIN_S):
        answers = await asyncio.gather(*(client.cancel(job.job_id) for job in running), return_exceptions=True)
    for job, answer in zip(running, answers, strict=True):
        if isinstance(answer, Exception) and not isinstance(answer, ConflictError):
            say(f"{job.job_id} could not be cancelled: {answer}", "red")
