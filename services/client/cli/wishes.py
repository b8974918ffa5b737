"""From flags to the `options` of a job.  Pure."""

import json
import re
from typing import Any, Final

from services.client.cli.params import Wishes, given
from services.common.formats import FORMATS
from services.common.options import OptionsError, check, parse_options

_CLOCK: Final = re.compile(r"^(?:(?:(\d+):)?(\d{1,2}):)?(\d+(?:\.\d+)?)$")
# Which flag is to blame for an option that the rules of the service refuse.
_FLAGS: Final = {
    "two_pass.target_size": "--target-size",
    "two_pass.bitrate_kbps": "--video-bitrate",
    "trim": "--start/--end",
    "trim.start_s": "--start",
    "trim.end_s": "--end",
    "audio.codec": "--audio",
    "audio.bitrate_kbps": "--audio-bitrate",
    "audio.channels": "--channels",
    "audio.normalize": "--normalize",
}


class WishError(ValueError):
    """Flags that ask for what can't be; the text says which and why."""


def seconds_in(text: str, flag: str) -> float:
    """Seconds in `90`, `1:30` or `0:01:30.5`."""
    match = _CLOCK.match(text.strip())
    if match is None:
        raise WishError(f"{flag}: write seconds, or a time such as 1:30 or 1:02:03.5.")
    hours, minutes, seconds = match.groups(default="0")
    return int(hours) * 3600 + int(minutes) * 60 + float(seconds)


def options_of(wishes: Wishes) -> dict[str, Any]:
    """The options that the flags stand for; only what was asked for.

    Raises:
        WishError: a flag does not say anything that can be sent.
    """
    options = given(
        {
            "video": wishes.video,
            "quality": _quality(wishes.quality),
            "bit_depth": wishes.bit_depth,
            "max_height": wishes.max_height,
            "max_width": wishes.max_width,
            "fps": wishes.fps,
            "trim": _trim(wishes),
            "audio": _audio(wishes),
            "subtitles": wishes.subtitles,
            "two_pass": given({"target_size": wishes.target_size, "bitrate_kbps": wishes.video_bitrate}) or None,
            "metadata": wishes.metadata,
        }
    )
    for pair in wishes.option or ():
        _set(options, pair)
    return options


def refuse_the_impossible(output_format: str, options: dict[str, Any]) -> None:
    """Raise WishError for what no file could make possible, before a large file is sent for nothing.

    A format that is not known here may be known to the service, and is left for it to judge.
    """
    if output_format not in FORMATS:
        return
    try:
        problems = check(output_format, parse_options(options))
    except OptionsError as error:
        problems = error.errors
    if problems:
        raise WishError("\n".join(f"{_flag(field)}: {message}" for field, message in problems))


def _quality(text: str | None) -> str | int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else text


def _trim(wishes: Wishes) -> dict[str, float] | None:
    trim = {
        "start_s": None if wishes.start is None else seconds_in(wishes.start, "--start"),
        "end_s": None if wishes.end is None else seconds_in(wishes.end, "--end"),
    }
    return given(trim) or None


def _audio(wishes: Wishes) -> dict[str, Any] | str | None:
    details = given(
        {
            "bitrate_kbps": wishes.audio_bitrate,
            "channels": wishes.channels,
            "normalize": wishes.normalize or None,
        }
    )
    if wishes.audio == "none":
        if details:
            raise WishError("--audio none leaves no sound to have a bitrate, channels or a loudness.")
        return "none"
    return given({"codec": wishes.audio}) | details or None


def _set(options: dict[str, Any], pair: str) -> None:
    """Set one option by its dotted name; the value is JSON, or text where it isn't."""
    name, equals, text = pair.partition("=")
    if not equals or not name:
        raise WishError(f"--option {pair}: write NAME=VALUE.")
    try:
        value = json.loads(text)
    except ValueError:
        value = text
    *path, last = name.removeprefix("options.").split(".")
    place = options
    for step in path:
        place = place.setdefault(step, {})
        if not isinstance(place, dict):
            raise WishError(f"--option {pair}: {step} has no {last}.")
    place[last] = value


def _flag(field: str) -> str:
    name = field.removeprefix("options.")
    return _FLAGS.get(name, f"--{name.replace('_', '-')}" if "." not in name else f"--option {name}")
