"""Uploads by S3 multipart: several parts at once, each sent again on its own when the connection is cut.

What has arrived stays in the store, so an upload can be gone on with after anything: hand its `UploadRef` back and the
parts that are there, whole and the same, are not sent again.
"""

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import quote

import aiohttp
import anyio
from yarl import URL

from services.client.backoff import Patience
from services.client.errors import ClientError, NotFoundError, UnreachableError, UploadError
from services.client.models import Uploaded, UploadRef
from services.client.rest import Rest, retry_after
from services.client.sources import Part, Source, digest_in

OnProgress = Callable[[int, int | None], None]
"""Called with the bytes done so far, and with all there are, None while unknown."""
OnBegun = Callable[[UploadRef], None]

_BEGINNINGS: Final = 3
_STALL_S: Final = 30.0  # a connection that takes no byte for so long is given up
# Signatures expire (403), requests go too slowly (408), stores have their moments (429, 5xx).
_PASSING: Final = frozenset({403, 408, 429, 500, 502, 503, 504})


class _ForgottenError(ClientError):
    """The store knows nothing of this upload."""

    def __init__(self) -> None:
        super().__init__("The store has forgotten this upload; send the file again.")


class _PartRefusedError(Exception):
    """The store did not take a part.  `status` is 0 if the connection was lost."""

    def __init__(self, status: int, retry_after_s: float | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after_s = retry_after_s


@dataclass(slots=True)
class Meter:
    """Adds up what the parts under way have sent; what it tells never falls when a part begins again."""

    total: int | None
    tell: OnProgress | None
    sent: dict[int, int] = field(default_factory=dict)
    told: int = -1

    def at(self, number: int, sent: int) -> None:
        """Part `number` has sent `sent` bytes."""
        self.sent[number] = sent
        done = sum(self.sent.values())
        if self.tell and done > self.told:
            self.told = done
            self.tell(done, self.total)


class Upload:
    """One upload: begin or go on, send the parts, complete."""

    def __init__(
        self,
        rest: Rest,
        source: Source,
        filename: str,
        content_type: str,
        *,
        parallel: int,
        on_progress: OnProgress | None,
        on_begun: OnBegun | None,
    ) -> None:
        """`parallel` is how many parts are under way at once."""
        self._rest = rest
        self._source = source
        self._filename = filename
        self._content_type = content_type
        self._parallel = parallel
        self._on_begun = on_begun
        self._meter = Meter(source.size, on_progress)
        self._patience = Patience(rest.patience_s)
        self._etags: dict[int, str] = {}
        self._size = 0

    async def run(self, resume: UploadRef | None = None) -> Uploaded:
        """Upload the source, going on with `resume` if the store still knows it.

        Raises:
            UploadError: it could not be sent whole; `resume` in it is for another try.
            ApiError, UnreachableError: the API refused, or could not be reached.
        """
        for _ in range(_BEGINNINGS - 1):
            try:
                return await self._once(resume)
            except _ForgottenError:
                # By age, or by a store that keeps unfinished uploads in memory and was started anew.
                resume = None
        try:
            return await self._once(None)
        except _ForgottenError as error:
            raise UploadError("The store forgets this upload again and again; try later.") from error

    async def _once(self, resume: UploadRef | None) -> Uploaded:
        self._meter.sent.clear()
        self._etags.clear()
        self._size = 0
        present = await self._present(resume) if resume else {}
        ref = resume or await self._begin()
        try:
            await self._send_all(ref, present)
            await self._source.verify()
            await self._complete(ref)
        except _ForgottenError as error:
            if not self._source.resumable:
                raise UploadError("The store has forgotten this upload; send the file again.") from error
            raise
        except (ClientError, asyncio.CancelledError):
            if not self._source.resumable:
                await self._abort(ref)
            raise
        return Uploaded(ref.key, self._filename, self._size)

    async def _begin(self) -> UploadRef:
        metadata = {} if self._source.size is None else {"size": self._source.size}
        body = {"filename": self._filename, "type": self._content_type, "metadata": metadata}
        reply = await self._rest.call("POST", "/s3/multipart", json=body, repeatable=True)
        ref = UploadRef(upload_id=reply.body["uploadId"], key=reply.body["key"], part_size=self._source.part_size)
        if self._on_begun and self._source.resumable:
            self._on_begun(ref)
        return ref

    async def _present(self, ref: UploadRef) -> Mapping[int, Mapping[str, Any]]:
        reply = await self._call(ref, "GET")
        return {int(part["PartNumber"]): part for part in reply}

    async def _call(self, ref: UploadRef, method: str, tail: str = "", *, json: Any = None) -> Any:
        path = f"/s3/multipart/{quote(ref.upload_id, safe='')}{tail}"
        try:
            reply = await self._rest.call(
                method, path, params={"key": ref.key}, json=json, repeatable=True, timeout_s=120.0
            )
        except NotFoundError as error:
            raise _ForgottenError from error
        return reply.body

    async def _send_all(self, ref: UploadRef, present: Mapping[int, Mapping[str, Any]]) -> None:
        parts = self._source.parts()
        turn = anyio.Lock()
        failures: list[ClientError] = []

        async def worker(group: anyio.abc.TaskGroup) -> None:
            try:
                while True:
                    async with turn:
                        part = await anext(parts, None)
                    if part is None:
                        return
                    self._size += part.size
                    self._etags[part.number] = await self._kept(part, present) or await self._send(ref, part)
                    self._meter.at(part.number, part.size)
            except ClientError as error:
                failures.append(error)
                group.cancel_scope.cancel()

        async with anyio.create_task_group() as group:
            for _ in range(self._parallel):
                group.start_soon(worker, group)
        if failures:
            raise failures[0]

    async def _kept(self, part: Part, present: Mapping[int, Mapping[str, Any]]) -> str | None:
        """The ETag of the part if the store has it already, the same to the byte."""
        known = present.get(part.number)
        if known is None or int(known["Size"]) != part.size:
            return None
        etag = str(known["ETag"])
        return etag if digest_in(etag) == await part.md5() else None

    async def _send(self, ref: UploadRef, part: Part) -> str:
        loop = asyncio.get_running_loop()
        while True:
            signed = await self._call(ref, "GET", f"/{part.number}")
            try:
                etag = await self._put(signed["url"], part)
            except _PartRefusedError as error:
                may_repeat = error.status == 0 or error.status in _PASSING
                delay = self._patience.wait_after(loop.time(), error.retry_after_s) if may_repeat else None
                if delay is None:
                    raise self._refused(error, ref) from None
                await asyncio.sleep(delay)
            else:
                self._patience.succeeded()
                return etag

    async def _put(self, url: str, part: Part) -> str:
        """Send a part to its presigned address; its ETag.  No byte taken for `_STALL_S` counts as a lost connection."""
        loop = asyncio.get_running_loop()

        async def body() -> Any:
            sent = 0
            async for chunk in part.chunks():
                yield chunk
                sent += len(chunk)
                self._meter.at(part.number, sent)
                with suppress(RuntimeError):  # the answer came before the end of the body
                    stall.reschedule(loop.time() + _STALL_S)

        try:
            async with (
                asyncio.timeout(_STALL_S) as stall,
                self._rest.session.put(
                    URL(url, encoded=True),
                    data=body(),
                    headers={"Content-Length": str(part.size), "Content-Type": "application/octet-stream"},
                    timeout=aiohttp.ClientTimeout(total=None, sock_connect=10),
                    allow_redirects=False,
                ) as response,
            ):
                etag = response.headers.get("ETag")
                if response.status == 200 and etag:  # noqa: PLR2004 -- what S3 answers
                    return etag
                raise _PartRefusedError(response.status, retry_after(response.headers))
        except (aiohttp.ClientError, TimeoutError, OSError) as error:
            if isinstance(error.__cause__, ClientError):
                raise error.__cause__ from None
            raise _PartRefusedError(0) from error

    def _refused(self, error: _PartRefusedError, ref: UploadRef) -> ClientError:
        resume = ref if self._source.resumable else None
        match error.status:
            case 0:
                return UnreachableError(str(self._rest.url), "the upload was cut off again and again")
            case 404:
                return _ForgottenError()
            case 413:
                return UploadError("This file is larger than what is accepted.")
            case status:
                return UploadError(f"The store did not take the file (HTTP {status}).", resume)

    async def _complete(self, ref: UploadRef) -> None:
        parts = [{"PartNumber": number, "ETag": etag} for number, etag in sorted(self._etags.items())]
        await self._call(ref, "POST", "/complete", json={"parts": parts})

    async def _abort(self, ref: UploadRef) -> None:
        with suppress(ClientError), anyio.move_on_after(5, shield=True):
            await self._call(ref, "DELETE")
