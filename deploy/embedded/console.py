"""What the person at the terminal sees: few lines, each whole, none of them secret."""

import contextlib
import sys
from collections.abc import Iterable
from typing import TextIO

_NAME_WIDTH = 11


class Console:
    """Lines to one stream. A reader that went away (`make up | head`) is no reason to stop."""

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = stream or sys.stdout

    def say(self, text: str) -> None:
        with contextlib.suppress(BrokenPipeError, ValueError):
            encoding = self._stream.encoding or "utf-8"
            self._stream.write(text.encode(encoding, "replace").decode(encoding) + "\n")
            self._stream.flush()

    def about(self, name: str, text: str, details: Iterable[str] = ()) -> None:
        """One line about a process, and indented below it what belongs to it."""
        lines = [f"  {name:<{_NAME_WIDTH}} {text}", *(f"  {'':<{_NAME_WIDTH}} | {line}" for line in details)]
        self.say("\n".join(lines))
