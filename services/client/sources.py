"""What is uploaded, cut into parts: a file that can be read again at any place, or a stream that can't.

Memory is bounded by what is under way at once: a part of a file is read in small chunks while it is sent, a part of a
stream has to be held until the store has it.
"""

import hashlib
import re
from collections.abc import AsyncIterable, AsyncIterator
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from typing import BinaryIO, Final, Protocol

import anyio.to_thread

from services.client.errors import UploadError

MIB: Final = 1024 * 1024
MIN_PART_SIZE: Final = 5 * MIB  # the least S3 takes, but for the last part
STREAM_PART_SIZE: Final = 8 * MIB
_FEW_PARTS: Final = 200  # above it parts grow, to ask for fewer addresses
_MAX_PARTS: Final = 10_000
_CHUNK: Final = 256 * 1024
_MD5: Final = re.compile(r'^"?([0-9a-f]{32})"?$')


def part_size_for(size: int) -> int:
    """Bytes a part of a file of `size` bytes has; the last one may have fewer."""
    return max(MIN_PART_SIZE, ceil(size / _FEW_PARTS / MIB) * MIB)


def digest_in(etag: str) -> str | None:
    """The MD5 that an ETag is, None where the store makes ETags of another kind."""
    match = _MD5.match(etag)
    return match[1] if match else None


class Part(Protocol):
    """One piece, numbered from 1, that can be sent more than once."""

    number: int
    size: int

    def chunks(self) -> AsyncIterator[bytes]:
        """The bytes, from the first, each time it is called."""

    async def md5(self) -> str:
        """Hex digest of the bytes."""


class Source(Protocol):
    """Something to upload.  `size` in bytes, None while unknown; `part_size` is how it is to be cut."""

    size: int | None
    part_size: int
    resumable: bool

    def parts(self) -> AsyncIterator[Part]:
        """The parts in order."""

    async def verify(self) -> None:
        """Raise UploadError if what was sent is no longer what is there."""


@dataclass(slots=True)
class FilePart:
    """A piece of a file on disk."""

    path: Path
    number: int
    offset: int
    size: int

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Part`."""
        file = await anyio.to_thread.run_sync(self._opened)
        try:
            left = self.size
            while left:
                data = await anyio.to_thread.run_sync(file.read, min(_CHUNK, left))
                if not data:
                    raise UploadError(f"{self.path.name} became shorter while it was sent.")
                left -= len(data)
                yield data
        finally:
            file.close()

    async def md5(self) -> str:
        """See `Part`."""
        digest = hashlib.md5(usedforsecurity=False)
        async for chunk in self.chunks():
            digest.update(chunk)
        return digest.hexdigest()

    def _opened(self) -> BinaryIO:
        file = self.path.open("rb")
        file.seek(self.offset)
        return file


class FileSource:
    """A file on disk.

    Raises:
        UploadError: it isn't there, can't be read, is empty or is not a plain file.
    """

    resumable = True

    def __init__(self, path: Path, part_size: int | None = None) -> None:
        """`part_size` of an upload to be gone on with; chosen by the file's size otherwise."""
        self.path = path
        try:
            with path.open("rb"):
                self._stat = path.stat()
        except OSError as error:
            raise UploadError(f"{path} can't be read: {error.strerror}.") from None
        self.size: int | None = self._stat.st_size
        if not self._stat.st_size:
            raise UploadError(f"{path} is empty.")
        self.part_size = part_size or part_size_for(self._stat.st_size)

    async def parts(self) -> AsyncIterator[Part]:
        """See `Source`."""
        for number, offset in enumerate(range(0, self._stat.st_size, self.part_size), start=1):
            yield FilePart(self.path, number, offset, min(self.part_size, self._stat.st_size - offset))

    async def verify(self) -> None:
        """See `Source`."""
        now = await anyio.to_thread.run_sync(self.path.stat)
        if (now.st_size, now.st_mtime_ns) != (self._stat.st_size, self._stat.st_mtime_ns):
            raise UploadError(f"{self.path.name} was changed while it was sent; send it again.")


@dataclass(slots=True)
class BytesPart:
    """A piece of a stream, in memory."""

    number: int
    data: bytes

    @property
    def size(self) -> int:
        """In bytes."""
        return len(self.data)

    @size.setter
    def size(self, _: int) -> None:
        raise AttributeError("the size of a part in memory is that of its data")

    async def chunks(self) -> AsyncIterator[bytes]:
        """See `Part`."""
        for start in range(0, len(self.data), _CHUNK):
            yield self.data[start : start + _CHUNK]

    async def md5(self) -> str:
        """See `Part`."""
        return hashlib.md5(self.data, usedforsecurity=False).hexdigest()


class StreamSource:
    """Bytes that come by only once, such as a pipe: a binary file object or an async iterable of bytes."""

    resumable = False

    def __init__(self, stream: BinaryIO | AsyncIterable[bytes], part_size: int = STREAM_PART_SIZE) -> None:
        """`part_size` in bytes; as much is held in memory for each part under way."""
        self._stream = stream
        self.part_size = part_size
        self.size: int | None = None

    async def parts(self) -> AsyncIterator[Part]:
        """See `Source`."""
        number, held = 0, bytearray()
        async for data in self._blocks():
            held += data
            while len(held) >= self.part_size:
                number += 1
                if number > _MAX_PARTS:
                    raise UploadError("The stream is too long.")
                yield BytesPart(number, bytes(held[: self.part_size]))
                del held[: self.part_size]
        if held:
            yield BytesPart(number + 1, bytes(held))
        elif not number:
            raise UploadError("There was nothing to read.")

    async def verify(self) -> None:
        """See `Source`: a stream can't change behind our back."""

    async def _blocks(self) -> AsyncIterator[bytes]:
        if isinstance(self._stream, AsyncIterable):
            async for data in self._stream:
                yield data
            return
        # A pipe that stays silent must not keep a cancelled program from ending.
        while data := await anyio.to_thread.run_sync(self._stream.read, _CHUNK, abandon_on_cancel=True):
            yield data
