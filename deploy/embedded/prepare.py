"""Everything that has to be on disk before the first process starts."""

import contextlib
import fcntl
import resource
from collections.abc import Iterable, Iterator

from deploy.embedded.layout import CHECKOUT, Layout
from deploy.embedded.spec import FileSpec
from deploy.embedded.store import BUCKET

_OPEN_FILES = 65_536
_PAGE = CHECKOUT / "static" / "dist"


class DataDirInUseError(Exception):
    """Another running copy holds this `DATA_DIR`."""


@contextlib.contextmanager
def locked(layout: Layout) -> Iterator[None]:
    """Hold `DATA_DIR` for this process; the lock goes with it, however it ends.

    Raises:
        DataDirInUseError: another process holds it.
    """
    with layout.lock.open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise DataDirInUseError(
                f"another copy is running on {layout.data_dir}: stop it, or set DATA_DIR to another directory"
            ) from None
        yield


def make_directories(layout: Layout) -> None:
    for directory in (*layout.directories(), layout.objects / BUCKET):
        directory.mkdir(mode=0o700, parents=True, exist_ok=True)


def link_for_nginx(layout: Layout) -> None:
    """The page and the objects, within nginx's prefix."""
    for link, target in ((layout.page, _PAGE), (layout.nginx / "store", layout.objects)):
        link.unlink(missing_ok=True)
        link.symlink_to(target)


def page_is_built() -> bool:
    return (_PAGE / "index.html").exists()


def write_files(files: Iterable[FileSpec]) -> None:
    for file in files:
        # A new file each time: the mode counts only at its making, and a cookie is read-only.
        file.path.unlink(missing_ok=True)
        file.path.touch(mode=0o600, exist_ok=False)
        file.path.write_text(file.text)
        file.path.chmod(file.mode)


def raise_open_files() -> int:
    """Let this process and its children open more files at once; returns how many."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _OPEN_FILES if hard == resource.RLIM_INFINITY else min(hard, _OPEN_FILES)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return wanted
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    return wanted
