"""The object store, over miniopy-async: one bucket, streamed both ways, never held in memory whole.

The region is a setting and never looked up, so presigning is arithmetic.  URLs for the outside are signed for the
name that the outside uses (`base_url`), which is not the endpoint that the services use.
"""

import asyncio
import os
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from pathlib import Path
from random import uniform
from typing import Any, BinaryIO, Final, Self, TypeVar
from urllib.parse import quote, urlsplit

import anyio
from aiohttp import ClientResponse, ClientSession, ClientTimeout, TCPConnector

from services.common.logs import get_logger
from services.common.miniopy import Minio, Part, S3Error
from services.common.settings import CommonSettings
from services.common.storage_errors import (
    ObjectMissingError,
    ObjectTooLargeError,
    StorageError,
    StorageRefusedError,
    Translated,
)

__all__ = [
    "Download",
    "ObjectInfo",
    "ObjectMissingError",
    "ObjectTooLargeError",
    "Storage",
    "StorageError",
    "StorageRefusedError",
]

log = get_logger(__name__)
T = TypeVar("T")

PART_SIZE: Final = 16 << 20
# rclone fails one in hundreds of writes into a directory that is being written to; any store may be restarting.
_PAUSES_S: Final = (0.1, 0.4)
_BLOCK: Final = 1 << 20
_TIMEOUT: Final = ClientTimeout(connect=10, sock_read=60)


@dataclass(frozen=True, slots=True)
class ObjectInfo:
    """What the store says of an object.  `size` in bytes."""

    key: str
    size: int
    etag: str
    content_type: str
    modified: datetime


@dataclass(frozen=True, slots=True)
class UploadedPart:
    """One part of a multipart upload.  `etag` without quotes."""

    number: int
    etag: str
    size: int


@dataclass(frozen=True, slots=True)
class OpenUpload:
    """A multipart upload that was begun and neither completed nor aborted."""

    key: str
    upload_id: str
    initiated: datetime


def content_disposition(filename: str) -> str:
    """A header that makes a browser save under `filename`, whatever is in it (RFC 6266, RFC 5987)."""
    plain = "".join(c if c.isascii() and c.isprintable() and c not in '"\\%;' else "_" for c in filename)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(filename, safe='')}"


class Storage:
    """The bucket.  An async context manager; `base_url` arguments are `scheme://host[:port]`."""

    def __init__(self, settings: CommonSettings, *, connections: int = 64) -> None:
        self._bucket = settings.s3_bucket
        self._region = settings.s3_region
        self._access_key = settings.s3_access_key
        self._secret_key = settings.s3_secret_key.get_secret_value()
        self._endpoint = settings.s3_endpoint
        self._connections = connections
        self._client: Minio = self._make_client(settings.s3_endpoint)
        self._signers: dict[str, Minio] = {}

    async def __aenter__(self) -> Self:
        session = ClientSession(connector=TCPConnector(limit=self._connections), timeout=_TIMEOUT, read_bufsize=_BLOCK)
        self._client.set_session(session)
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._client.close_session()  # type: ignore[no-untyped-call]

    async def ping(self) -> None:
        """Raise `StorageError` unless the bucket is there."""
        with Translated():
            if not await self._client.bucket_exists(self._bucket):
                raise StorageError("no such bucket")

    async def fault(self) -> str | None:
        """For readiness: what is wrong with the store, None if nothing is."""
        try:
            await self.ping()
        except StorageError:
            return "the object store does not answer"
        return None

    async def ensure_bucket(self) -> None:
        """Make the bucket if it is not there."""
        with Translated():
            if not await self._client.bucket_exists(self._bucket):
                try:
                    await self._client.make_bucket(self._bucket, location=self._region)
                except S3Error as error:
                    if error.code not in ("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                        raise

    async def stat(self, key: str) -> ObjectInfo | None:
        """What is known of `key`, None if it is not there."""
        try:
            with Translated():
                found = await self._client.stat_object(self._bucket, key)
        except ObjectMissingError:
            return None
        return _info(key, found)

    async def get(self, key: str, *, max_size: int = 1 << 20) -> bytes | None:
        """A small object whole, None if it is not there."""
        body = bytearray()
        try:
            with Translated():
                async with await self._open(key) as response:
                    # It comes in pieces, as the network has them.
                    async for chunk in response.content.iter_any():
                        body += chunk
                        if len(body) > max_size:
                            raise ObjectTooLargeError(key)
        except ObjectMissingError:
            return None
        return bytes(body)

    async def put(self, key: str, body: bytes, content_type: str) -> None:
        """Write a small object."""

        async def once() -> None:
            with Translated():
                await self._client._put_object(self._bucket, key, body, {"Content-Type": content_type})  # noqa: SLF001

        await _patiently(once)

    async def open(self, key: str) -> "Download":
        """Begin to read `key`.

        Raises:
            ObjectMissingError, StorageError.
        """
        with Translated():
            return Download(key, await self._open(key))

    async def download(self, key: str, path: Path, *, max_size: int | None = None) -> int:
        """Stream `key` into the new file `path`; bytes written.  Raises as `open` and `Download.save` do."""
        with await self.open(key) as download:
            return await download.save(path, max_size=max_size)

    async def upload(self, path: Path, key: str, content_type: str) -> int:
        """Stream the file `path` into `key`; bytes written.  The object appears whole or not at all."""
        return await _patiently(lambda: self._upload_once(path, key, content_type))

    async def _upload_once(self, path: Path, key: str, content_type: str) -> int:
        file, size = await asyncio.to_thread(_open_sized, path)
        with file, Translated():  # nothing was written, so closing it does not wait for the disk
            await self._client.put_object(
                self._bucket,
                key,
                file,
                size,
                content_type=content_type,
                part_size=PART_SIZE,
                # More would hold that many parts, in fact all of them, in memory.
                num_parallel_uploads=1,
            )
        return size

    async def remove(self, *keys: str) -> None:
        """Remove the objects; those that are not there are no error."""
        for key in keys:
            try:
                with Translated():
                    await self._client.remove_object(self._bucket, key)
            except ObjectMissingError:
                continue

    async def list_objects(self, prefix: str) -> AsyncIterator[ObjectInfo]:
        """Every object whose key begins with `prefix`."""
        with Translated():
            async for found in self._client.list_objects(self._bucket, prefix=prefix, recursive=True):
                if not found.is_dir:
                    yield _info(str(found.object_name), found)

    async def presign_get(
        self,
        key: str,
        base_url: str,
        expires_s: int,
        *,
        filename: str | None = None,
        content_type: str | None = None,
    ) -> str:
        """A URL under `base_url` that reads `key`; with `filename` a browser saves it under that name."""
        headers: dict[str, Any] = {}
        if filename is not None:
            headers["response-content-disposition"] = content_disposition(filename)
        if content_type is not None:
            headers["response-content-type"] = content_type
        return await self._presign("GET", key, base_url, expires_s, headers)

    async def presign_put(self, key: str, base_url: str, expires_s: int) -> str:
        """A URL under `base_url` that writes `key`."""
        return await self._presign("PUT", key, base_url, expires_s, {})

    async def presign_part(self, key: str, upload_id: str, number: int, base_url: str, expires_s: int) -> str:
        """A URL under `base_url` that writes part `number` (1 to 10 000) of a multipart upload."""
        return await self._presign("PUT", key, base_url, expires_s, {"uploadId": upload_id, "partNumber": str(number)})

    async def create_multipart(self, key: str, content_type: str) -> str:
        """Begin a multipart upload of `key`; its id."""
        with Translated():
            upload_id = await self._client._create_multipart_upload(  # noqa: SLF001 -- there is no public way
                self._bucket, key, {"Content-Type": content_type}
            )
        return str(upload_id)

    async def list_parts(self, key: str, upload_id: str) -> list[UploadedPart]:
        """The parts that have arrived, by number."""
        parts: list[UploadedPart] = []
        marker = None
        while True:
            with Translated():
                page = await self._client._list_parts(  # noqa: SLF001
                    self._bucket, key, upload_id, part_number_marker=marker
                )
            parts += [UploadedPart(p.part_number, p.etag.strip('"'), p.size or 0) for p in page.parts]
            marker = str(page.next_part_number_marker) if page.is_truncated else None
            if marker is None:
                return parts

    async def complete_multipart(self, key: str, upload_id: str, parts: list[tuple[int, str]]) -> None:
        """Make the object of its parts, given as (number, etag)."""
        with Translated():
            await self._client._complete_multipart_upload(  # noqa: SLF001
                self._bucket, key, upload_id, [Part(number, etag.strip('"')) for number, etag in parts]
            )

    async def abort_multipart(self, key: str, upload_id: str) -> None:
        """Give up a multipart upload; one that is not there is no error."""
        try:
            with Translated():
                await self._client._abort_multipart_upload(self._bucket, key, upload_id)  # noqa: SLF001
        except ObjectMissingError:
            return

    async def list_multiparts(self, prefix: str = "") -> list[OpenUpload]:
        """The first thousand multipart uploads under `prefix` that are still open."""
        try:
            with Translated():
                page = await self._client._list_multipart_uploads(self._bucket, prefix=prefix)  # noqa: SLF001
        except ObjectMissingError:  # some stores say "no such upload" where there are none
            return []
        return [
            OpenUpload(str(u.object_name), str(u.upload_id), u.initiated_time or datetime.now(UTC))
            for u in page.uploads
        ]

    async def _open(self, key: str) -> ClientResponse:
        response: ClientResponse = await self._client.get_object(self._bucket, key)
        return response

    async def _presign(self, method: str, key: str, base_url: str, expires_s: int, query: dict[str, Any]) -> str:
        signer = self._signers.get(base_url)
        if signer is None:
            if len(self._signers) > 100:  # noqa: PLR2004 -- names come from requests; do not keep them for ever
                self._signers.clear()
            signer = self._signers[base_url] = self._make_client(base_url)
        url = await signer.get_presigned_url(
            method, self._bucket, key, expires=timedelta(seconds=expires_s), extra_query_params=query
        )
        return str(url)

    def _make_client(self, url: str) -> Minio:
        parts = urlsplit(url)
        return Minio(
            parts.netloc,
            access_key=self._access_key,
            secret_key=self._secret_key,
            secure=parts.scheme == "https",
            region=self._region,
        )


class Download:
    """An object on its way here.  A context manager, at whose end the connection is let go."""

    def __init__(self, key: str, response: ClientResponse) -> None:
        self._key = key
        self._response = response

    @property
    def size(self) -> int | None:
        """Bytes of the whole object, None if the store does not say."""
        return self._response.content_length

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of it; where not all was read, of the connection too."""
        self._response.release()

    async def save(self, path: Path, *, max_size: int | None = None) -> int:
        """Stream the object into the new file `path`; bytes written.

        Args:
            path: where to; must not exist.
            max_size: bytes beyond which to stop.

        Raises:
            ObjectTooLargeError, StorageError.
            OSError: the file could not be written.
        """
        size = 0
        if max_size is not None and (self.size or 0) > max_size:
            raise ObjectTooLargeError(self._key)
        async with await anyio.open_file(path, "xb") as file:
            async for block in _blocks(self._response):
                size += len(block)
                if max_size is not None and size > max_size:
                    raise ObjectTooLargeError(self._key)
                await file.write(block)
        return size


def _open_sized(path: Path) -> tuple[BinaryIO, int]:
    file = path.open("rb")
    return file, os.fstat(file.fileno()).st_size


async def _patiently(write: Callable[[], Awaitable[T]]) -> T:
    """Do a write that may be done twice; again after a moment, if the store stumbles over it."""
    for pause_s in _PAUSES_S:
        try:
            return await write()
        except StorageRefusedError:
            raise
        except StorageError as error:
            log.info("store_stumbled", error=repr(error))
            await asyncio.sleep(uniform(pause_s / 2, pause_s))
    return await write()


async def _blocks(response: ClientResponse) -> AsyncIterator[bytes]:
    """The body in pieces that are worth the way to the thread which writes them."""
    pieces: list[bytes] = []
    while True:
        with Translated():
            piece = await response.content.readany()
        pieces.append(piece)
        if not piece or sum(map(len, pieces)) >= _BLOCK:
            yield b"".join(pieces)
            pieces.clear()
        if not piece:
            return


def _info(key: str, found: Any) -> ObjectInfo:
    modified = found.last_modified
    if isinstance(modified, str):
        modified = parsedate_to_datetime(modified)
    return ObjectInfo(
        key=key,
        size=found.size or 0,
        etag=(found.etag or "").strip('"'),
        content_type=found.content_type or "application/octet-stream",
        modified=modified or datetime.now(UTC),
    )
