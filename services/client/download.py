"""Fetching an output: goes on where it was cut off; ends with the whole file or an error, never with half of one."""

import asyncio
import os
from collections.abc import Awaitable, Callable
from contextlib import suppress
from pathlib import Path
from typing import BinaryIO, Final

import aiohttp
import anyio.to_thread
from yarl import URL

from services.client.backoff import Patience
from services.client.errors import DownloadError, UnreachableError
from services.client.models import Download
from services.client.rest import Rest, retry_after

OnProgress = Callable[[int, int | None], None]
Locate = Callable[[], Awaitable[Download]]
"""Asks the API where the output is: addresses expire."""

_CHUNK: Final = 256 * 1024
_STALL_S: Final = 30.0
_PASSING: Final = frozenset({403, 408, 429, 500, 502, 503, 504})
_PARTIAL: Final = 206
_BEYOND_THE_END: Final = 416


class _CutError(Exception):
    """The transfer ended early.  `status` is that of the refusal, 0 for a lost connection."""

    def __init__(self, status: int = 0, retry_after_s: float | None = None) -> None:
        super().__init__(status)
        self.status = status
        self.retry_after_s = retry_after_s


class Fetch:
    """One output on its way into `target`, which has `offset` bytes of it already."""

    def __init__(
        self, rest: Rest, locate: Locate, target: BinaryIO, *, offset: int = 0, on_progress: OnProgress | None = None
    ) -> None:
        """`target` is written to in order and never rewound, so that a pipe will do."""
        self._rest = rest
        self._locate = locate
        self._target = target
        self._done = offset
        self._etag: str | None = None
        self._tell = on_progress
        self._patience = Patience(rest.patience_s)

    async def run(self) -> Download:
        """Fetch all of it; what it is.

        Raises:
            DownloadError: the store refused, or the file changed on the way.
            ApiError, UnreachableError: the API refused, or nothing could be reached for too long.
        """
        loop = asyncio.get_running_loop()
        while True:
            where = await self._locate()
            if self._done > where.size:
                raise DownloadError("The output has changed since the download began; start again.")
            self._told(where.size)
            if self._done == where.size:
                return where
            try:
                await self._pull(where)
                return where  # noqa: TRY300 -- an `else` after the long handler would hide it
            except _CutError as error:
                may_repeat = error.status == 0 or error.status in _PASSING
                delay = self._patience.wait_after(loop.time(), error.retry_after_s) if may_repeat else None
                if delay is None:
                    raise self._refused(error) from None
                await asyncio.sleep(delay)

    async def _pull(self, where: Download) -> None:
        timeout = aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=_STALL_S)
        headers = {"Accept-Encoding": "identity"} | ({"Range": f"bytes={self._done}-"} if self._done else {})
        try:
            async with self._rest.session.get(
                URL(where.url, encoded=True), headers=headers, timeout=timeout, auto_decompress=False
            ) as response:
                if response.status == _BEYOND_THE_END:
                    raise DownloadError("The output has changed since the download began; start again.")
                if response.status not in (200, _PARTIAL):
                    raise _CutError(response.status, retry_after(response.headers))
                self._same(response.headers.get("ETag"))
                # A server that knows no ranges sends all of it again.
                skip = 0 if response.status == _PARTIAL else self._done
                async for chunk in response.content.iter_chunked(_CHUNK):
                    fresh, skip = chunk[skip:], max(0, skip - len(chunk))
                    if fresh:
                        await self._write(fresh, where.size)
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            raise _CutError from error
        if self._done != where.size:
            raise _CutError

    async def _write(self, data: bytes, total: int) -> None:
        try:
            await anyio.to_thread.run_sync(self._target.write, data)
        except OSError as error:
            raise DownloadError(f"The download could not be written: {error.strerror}.") from None
        self._done += len(data)
        self._patience.succeeded()
        self._told(total)

    def _same(self, etag: str | None) -> None:
        if self._etag is not None and etag is not None and etag != self._etag:
            raise DownloadError("The output has changed since the download began; start again.")
        self._etag = etag

    def _told(self, total: int) -> None:
        if self._tell:
            self._tell(self._done, total)

    def _refused(self, error: _CutError) -> DownloadError | UnreachableError:
        if error.status == 0:
            return UnreachableError(str(self._rest.url), "the download was cut off again and again")
        return DownloadError(f"The store did not give the output away (HTTP {error.status}).")


async def fetch_to_file(
    rest: Rest, locate: Locate, path: Path, *, tag: str, on_progress: OnProgress | None = None
) -> Download:
    """Fetch an output into `path`, which appears only when it is whole.

    What has arrived is beside it as `.{name}.{tag}.part` meanwhile, and is gone on with after a cut or a restart;
    `tag` tells one output from another.

    Raises:
        DownloadError: as `Fetch.run`, or the file can't be written.
    """
    part = path.with_name(f".{path.name[:40]}.{tag}.part")
    try:
        file = await anyio.to_thread.run_sync(part.open, "ab")
        try:
            fetch = Fetch(rest, locate, file, offset=file.tell(), on_progress=on_progress)
            result = await fetch.run()
            await anyio.to_thread.run_sync(_flush, file)
        finally:
            await anyio.to_thread.run_sync(file.close)
        await anyio.to_thread.run_sync(part.replace, path)
    except OSError as error:
        raise DownloadError(f"{path} can't be written: {error.strerror}.") from None
    except DownloadError:
        # What there is of it is not to be trusted for another try.
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise
    finally:
        with suppress(OSError):
            if part.exists() and not part.stat().st_size:
                part.unlink()
    return result


def _flush(file: BinaryIO) -> None:
    file.flush()
    os.fsync(file.fileno())
