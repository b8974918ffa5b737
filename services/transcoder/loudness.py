"""Reads what the loudnorm filter measured from the standard error of ffmpeg."""

import json
import math
import re
from collections.abc import Sequence
from typing import Final

from services.transcoder.plan.model import Loudness

# `[loudnorm@track2 @ 0x55…] [info] ` and then JSON over several lines.
_REPORT: Final = re.compile(r"\[loudnorm@track(\d+) @ [^\]]*\][^{\n]*\n?\s*(\{[^{}]*\})")
_FIELDS: Final = ("input_i", "input_tp", "input_lra", "input_thresh", "target_offset")


def parse_loudness(stderr: str, tracks: Sequence[int]) -> dict[int, Loudness]:
    """What was measured, by input index; silent tracks, which have no loudness, are left out."""
    found: dict[int, Loudness] = {}
    for index, report in _REPORT.findall(stderr):
        if int(index) not in tracks:
            continue
        try:
            values = json.loads(report)
            numbers = {name: float(values[name]) for name in _FIELDS}
        except (ValueError, KeyError, TypeError):
            continue
        if all(map(math.isfinite, numbers.values())) and _sane(numbers):
            found[int(index)] = Loudness(**{name: f"{number:.2f}" for name, number in numbers.items()})
    return found


def _sane(numbers: dict[str, float]) -> bool:
    """True if the filter will take the numbers back."""
    return -99 <= numbers["input_i"] <= 0 and -99 <= numbers["input_thresh"] <= 0 and numbers["input_tp"] < 99  # noqa: PLR2004
