"""Which files to convert, and what the results are to be called: decided before anything is sent."""

import glob
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

STDIO: Final = "-"


class InputError(ValueError):
    """The files named can't be converted as asked; the text says why."""


@dataclass(frozen=True, slots=True)
class Item:
    """One conversion: None stands for stdin, and for stdout.  `name` is the user's own name of the input."""

    source: Path | None
    target: Path | None
    name: str


def expand(patterns: Sequence[str]) -> list[Path | None]:
    """The files that `patterns` stand for, each once, in the order given; None for stdin.

    A pattern that is the name of a file stands for that file, whatever characters it has.

    Raises:
        InputError: a pattern stands for nothing, or for something that isn't a file.
    """
    found: dict[str, Path | None] = {}
    for pattern in patterns:
        if pattern == STDIO:
            found[STDIO] = None
            continue
        names = [pattern] if os.path.lexists(pattern) else sorted(glob.glob(pattern, recursive=True))  # noqa: PTH207 -- a pattern may be absolute
        files = [Path(name) for name in names if not Path(name).is_dir()]
        if not files:
            what = "is a directory; name the files in it" if names else "does not exist"
            raise InputError(f"{pattern} {what}.")
        for file in files:
            found.setdefault(os.path.realpath(file), file)
    return list(found.values())


def plan_items(
    sources: Sequence[Path | None], output: str | None, extension: str, *, name: str | None, overwrite: bool
) -> list[Item]:
    """What becomes of each source.

    Args:
        sources: as `expand` gives them.
        output: `-`, a file, or a directory (it exists as one, ends in `/`, or there are several sources).
        extension: of the results, without the dot.
        name: what stdin is to be called.
        overwrite: True if files that exist may be replaced.

    Raises:
        InputError: two would be written to one place, or over something.
    """
    if output == STDIO or (output is None and sources == [None]):
        if len(sources) > 1:
            raise InputError("Only one file can be written to stdout.")
        return [Item(sources[0], None, _name(sources[0], name))]
    items = [
        Item(source, _target(source, output, extension, several=len(sources) > 1, name=name), _name(source, name))
        for source in sources
    ]
    _refuse_clashes(items, overwrite=overwrite)
    return items


def unfetched(sources: Sequence[Path | None], *, name: str | None) -> list[Item]:
    """Items whose results are left in the service."""
    return [Item(source, None, _name(source, name)) for source in sources]


def _name(source: Path | None, name: str | None) -> str:
    return source.name if source else name or "stdin"


def _target(source: Path | None, output: str | None, extension: str, *, several: bool, name: str | None) -> Path:
    result = _renamed(Path(_name(source, name)).name or "stdin", extension)
    if output is None:
        return source.with_name(result) if source else Path(result)
    is_directory = several or output.endswith(("/", os.sep)) or Path(output).is_dir()
    return Path(output) / result if is_directory else Path(output)


def _renamed(name: str, extension: str) -> str:
    stem, dot, _ = name.rpartition(".")
    return f"{stem if dot and stem else name}.{extension}"


def _refuse_clashes(items: Sequence[Item], *, overwrite: bool) -> None:
    taken: dict[str, str] = {}
    for item in items:
        assert item.target is not None
        place = os.path.realpath(item.target)
        if item.source is not None and place == os.path.realpath(item.source):
            raise InputError(f"{item.source} would be replaced by its own result; choose another place with -o.")
        if other := taken.get(place):
            raise InputError(f"{other} and {item.name} would both become {item.target}; convert them apart.")
        taken[place] = item.name
        if item.target.is_dir():
            raise InputError(f"{item.target} is a directory.")
        if item.target.exists() and not overwrite:
            raise InputError(f"{item.target} exists already; --overwrite replaces it.")
