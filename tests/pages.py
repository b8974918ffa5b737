"""The commands and programs of a Markdown page, made into one shell session.

```bash      commands, run in order in one shell: what one sets, the next one has
```python    a program, in the file that its first line names (`# watch.py`); the commands run it
```js        the same (`// watch.mjs`)
```json, ```text, ```http    what the commands before it write; `…` stands for anything
```

Fences of other languages are for the eye only.
"""

import re
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

_FENCE: Final = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME: Final = re.compile(r"(?:#|//) ([\w.-]+)\n")
_PROGRAMS: Final = {"python", "js"}
_OUTPUTS: Final = {"json", "text", "http"}
# Between the outputs of two blocks of commands; no program writes it.
_SEPARATOR: Final = "\x1e\n"


@dataclass
class Commands:
    """A block of commands, and what it is to write, piece by piece."""

    text: str
    expected: list[str] = field(default_factory=list)


@dataclass
class Page:
    """What is to be run of a page: `programs` by the names of their files, and `commands` in order."""

    programs: dict[str, str]
    commands: list[Commands]

    def leave_out(self, needing: str) -> None:
        """Take away the programs that have `needing` in them, and the commands that run them."""
        for name in [name for name, text in self.programs.items() if needing in text]:
            del self.programs[name]
            self.commands = [commands for commands in self.commands if name not in commands.text]

    @property
    def script(self) -> str:
        """All commands, as bash runs them."""
        return "printf '\\x1e\\n'\n".join(one.text for one in self.commands)


def read(path: Path) -> Page:
    """The page at `path`.

    Raises:
        AssertionError: a program has no name or is not run, or an output belongs to no command.
    """
    page = Page({}, [])
    for language, text in _FENCE.findall(path.read_text()):
        if language == "bash":
            page.commands.append(Commands(text))
        elif language in _PROGRAMS:
            named = _NAME.match(text)
            assert named, f"{path.name}: the first line of a program names its file:\n{text}"
            page.programs[named[1]] = text
        elif language in _OUTPUTS:
            assert page.commands, f"{path.name}: nothing was run that could write this:\n{text}"
            page.commands[-1].expected.append(text)
    for name in page.programs:
        assert any(name in commands.text for commands in page.commands), f"{path.name}: nothing runs {name}"
    return page


def outputs(written: str) -> list[str]:
    """What each block of commands wrote."""
    return written.split(_SEPARATOR)


def missing(expected: str, written: str) -> str | None:
    """The first piece of `expected` that is not in `written`, in order and whatever the white space; None if all is."""
    written = _dense(written)
    at = 0
    for piece in re.split(r"…|\n", expected):
        found = written.find(_dense(piece), at)
        if found < 0:
            return piece
        at = found + len(_dense(piece))
    return None


def _dense(text: str) -> str:
    return re.sub(r"\s+", "", text)
