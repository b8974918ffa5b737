"""From an object in the store to a local file, within bounds of size and room."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from services.common import metrics
from services.common.errors import ErrorCode, JobFailure
from services.common.storage import Download, ObjectMissingError, ObjectTooLargeError, Storage, StorageError
from services.transcoder.settings import TranscoderSettings
from services.transcoder.workdir import WorkDir

# Beside the input lie the output, a second copy of it for some containers, and small things.
_ROOM_FACTOR: Final = 2


class NoRoomError(Exception):
    """This machine has no room for the input; that says nothing about the job."""


class Inputs:
    """Fetches inputs into directories of their own."""

    def __init__(self, storage: Storage, workdir: WorkDir, settings: TranscoderSettings) -> None:
        self._storage = storage
        self._workdir = workdir
        self._settings = settings

    @contextmanager
    def directory(self, name: str) -> Iterator[Path]:
        """A fresh directory, removed afterwards whatever happens."""
        try:
            with self._workdir.run(name) as directory:
                yield directory
        except OSError as error:
            raise JobFailure(ErrorCode.DISK_FULL, detail=repr(error)) from error

    async def open(self, key: str) -> Download:
        """Begin to fetch the object `key`, if it can be taken, here and now.

        Raises:
            NoRoomError: this machine has no room for it; another may have.
            JobFailure: it is missing, empty or too large, or the store is away.
        """
        try:
            download = await self._storage.open(key)
        except ObjectMissingError:
            raise JobFailure(ErrorCode.INPUT_MISSING) from None
        except StorageError as error:
            raise JobFailure(ErrorCode.STORAGE, detail=repr(error)) from error
        try:
            self._see_that_it_fits(download.size)
        except BaseException:
            download.close()
            raise
        return download

    async def fetch(self, download: Download, directory: Path) -> Path:
        """Take in what was opened; the local file.

        Raises:
            JobFailure: it is too large, or the store is away.
        """
        # Our own name: the extension is only a hint that ffmpeg is not given.
        source = directory / "input"
        try:
            size = await download.save(source, max_size=self._settings.max_upload_size)
        except ObjectTooLargeError:
            raise JobFailure(ErrorCode.TOO_LARGE) from None
        except StorageError as error:
            raise JobFailure(ErrorCode.STORAGE, detail=repr(error)) from error
        metrics.BYTES_IN.add({}, size)
        return source

    def _see_that_it_fits(self, size: int | None) -> None:
        if size is not None and size > self._settings.max_upload_size:
            raise JobFailure(ErrorCode.TOO_LARGE)
        if size == 0:
            raise JobFailure(ErrorCode.NOT_MEDIA, "This file is empty. Check the file and upload it again.")
        if self._workdir.free_bytes() < (size or 0) * _ROOM_FACTOR + self._settings.disk_reserve:
            raise NoRoomError(f"{size} bytes to convert")
