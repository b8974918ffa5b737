"""Numbers and names as people read them.  Pure."""

import unicodedata
from datetime import UTC, datetime
from typing import Final

_UNITS: Final = ("B", "kB", "MB", "GB", "TB")
_STEP: Final = 1000
_TEN: Final = 10
_MINUTE: Final = 60
_HOUR: Final = 3600
_DAY: Final = 86400


def size_text(size: float | None) -> str:
    """Bytes as `9.5 MB`; nothing for None."""
    if size is None:
        return ""
    value, unit = float(size), _UNITS[0]
    for unit in _UNITS:
        if value < _STEP or unit == _UNITS[-1]:
            break
        value /= _STEP
    return f"{value:.0f} {unit}" if unit == "B" or value >= 100 else f"{value:.3g} {unit}"  # noqa: PLR2004


def time_text(seconds: float | None) -> str:
    """Seconds as `8 s`, `1:05` or `2:03:04`; nothing for None."""
    if seconds is None:
        return ""
    whole = round(seconds)
    if whole < _MINUTE:
        return f"{seconds:.1f} s" if seconds < _TEN and seconds != whole else f"{whole} s"
    minutes, rest = divmod(whole, _MINUTE)
    hours, minutes = divmod(minutes, _MINUTE)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def age_text(moment: datetime, now: datetime | None = None) -> str:
    """How long ago, in one word: `now`, `40s`, `5m`, `3h`, `12d`."""
    seconds = ((now or datetime.now(UTC)) - moment).total_seconds()
    if seconds < 1:
        return "now"
    for unit, length in (("d", _DAY), ("h", _HOUR), ("m", _MINUTE)):
        if seconds >= length:
            return f"{seconds // length:.0f}{unit}"
    return f"{seconds:.0f}s"


def shown(name: str, width: int | None = None) -> str:
    """A name that somebody else has chosen, made harmless for a terminal; cut in its middle if it is too wide."""
    clean = "".join(char if _printable(char) else "\ufffd" for char in name)
    if width is None or len(clean) <= width:
        return clean
    tail = width // 3
    return f"{clean[: width - tail - 1]}…{clean[-tail:]}"


def _printable(char: str) -> bool:
    return char == " " or unicodedata.category(char)[0] not in "CZ"
