"""Remembers unfinished uploads, so that the same command given again goes on where the last one was cut off.

One small file an upload, in `$XDG_STATE_HOME/cvc/uploads`; it is locked while the upload runs, so that two commands
never work on the same one.
"""

import hashlib
import os
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Final

from pydantic import BaseModel, ValidationError

from services.client.models import UploadRef

try:
    import fcntl
except ImportError:  # not there on Windows, which then has no locks here
    fcntl = None  # type: ignore[assignment]

_KEPT_S: Final = 24 * 3600.0  # about as long as the service keeps what was never finished


class _Record(BaseModel):
    size: int
    mtime_ns: int
    saved_at: float
    upload: UploadRef


def state_directory(environment: Mapping[str, str]) -> Path:
    """Where unfinished uploads are remembered."""
    base = environment.get("XDG_STATE_HOME") or Path(environment.get("HOME", "~")).expanduser() / ".local" / "state"
    return Path(base) / "cvc" / "uploads"


@dataclass(slots=True)
class Slot:
    """What is remembered of one file's upload: `upload` to go on with, None if it has to begin."""

    upload: UploadRef | None
    _file: IO[str] | None
    _size: int
    _mtime_ns: int

    def save(self, upload: UploadRef) -> None:
        """Remember this one."""
        self._write(
            _Record(size=self._size, mtime_ns=self._mtime_ns, saved_at=time.time(), upload=upload).model_dump_json()
        )

    def clear(self) -> None:
        """There is nothing to go on with any more."""
        self._write("")

    def _write(self, text: str) -> None:
        if self._file is None:
            return
        with suppress(OSError):  # it is a convenience: a full disk must not end an upload
            self._file.seek(0)
            self._file.truncate()
            self._file.write(text)
            self._file.flush()


@contextmanager
def slot_for(directory: Path, url: str, path: Path) -> Iterator[Slot]:
    """What is remembered of the upload of `path` to the service at `url`, while that goes on."""
    stat = path.stat()
    name = hashlib.sha256(f"{url}\n{path.resolve()}".encode(errors="surrogateescape")).hexdigest()[:32]
    record = directory / f"{name}.json"
    file = _locked(record)
    slot = Slot(None, file, stat.st_size, stat.st_mtime_ns)
    if file is not None:
        slot.upload = _read(file, stat)
    try:
        yield slot
    finally:
        if file is not None:
            if not _size_of(file):
                with suppress(OSError):
                    record.unlink(missing_ok=True)
            file.close()


def _locked(record: Path) -> IO[str] | None:
    """The file of a record, ours alone; None if somebody else has it or it can't be had."""
    try:
        record.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        file = record.open("a+", encoding="utf-8")
    except OSError:
        return None
    try:
        if fcntl is not None:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        file.close()
        return None
    return file


def _read(file: IO[str], stat: os.stat_result) -> UploadRef | None:
    file.seek(0)
    try:
        record = _Record.model_validate_json(file.read())
    except (OSError, ValidationError):
        return None
    same = (record.size, record.mtime_ns) == (stat.st_size, stat.st_mtime_ns)
    return record.upload if same and time.time() - record.saved_at < _KEPT_S else None


def _size_of(file: IO[str]) -> int:
    return os.fstat(file.fileno()).st_size
