"""What the services wrote while a test failed: its output alone has to tell why."""

import json
import os
import re
from collections.abc import Iterable, Iterator
from pathlib import Path

LAST = 40
TROUBLES = 20
_TRACEBACK = 30
_BYTES = 1 << 20
_WIDTH = 2000
_TROUBLE = re.compile(
    r'"level": ?"(warning|error|critical)"|\[(warning|warn|error|crit|alert|emerg)\]'
    r'|"status":5\d\d|\b(ERROR|FATAL|PANIC)\b|Traceback|Error:',
)


def sections(logs: Iterable[Path], since: float) -> Iterator[tuple[str, str]]:
    """Title and excerpt of each log that was written to after `since` (seconds of the epoch)."""
    for log in sorted(logs):
        found = log.stat()
        if found.st_size and found.st_mtime >= since:
            with log.open("rb") as file:
                file.seek(max(0, found.st_size - _BYTES), os.SEEK_SET)
                text = file.read().decode(errors="replace")
            yield f"{log.name} of {log.parent.parent.name}", excerpt(text)


def excerpt(log: str) -> str:
    """Its last lines, and before them the troubles it told of earlier."""
    lines = log.splitlines()
    earlier, last = lines[:-LAST], lines[-LAST:]
    troubles = [line for line in earlier if _TROUBLE.search(line)][-TROUBLES:]
    left_out = len(earlier) - len(troubles)
    shown = [*troubles, f"… {left_out} more lines …", *last] if left_out else lines
    return "\n".join(_readable(line) for line in shown)


def _readable(line: str) -> str:
    """The line, the traceback in it unfolded below."""
    try:
        event = json.loads(line)
    except ValueError:
        return line[:_WIDTH]
    if not isinstance(event, dict) or not isinstance(exception := event.pop("exception", None), str):
        return line[:_WIDTH]
    unfolded = exception.splitlines()[-_TRACEBACK:]
    return "\n    ".join([json.dumps(event, ensure_ascii=False)[:_WIDTH], *unfolded])
