"""Options that several commands share, written once.

A command takes a parameter of one of the classes here, each field of which is an option: `@spread` shows Typer the
options in its stead, and makes the object of what was given.
"""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, get_type_hints

import typer

from services.common.formats import FORMAT_NAMES

_WISHES = "What to make of it"
_CONNECTION = "Connection"


def spread(command: Callable[..., None]) -> Callable[..., None]:
    """The command with every dataclass among its parameters replaced by the fields of it."""
    hints = get_type_hints(command, include_extras=True)
    groups: dict[str, type[Any]] = {}
    shown: list[inspect.Parameter] = []
    for parameter in inspect.signature(command).parameters.values():
        kind = hints[parameter.name]
        if is_dataclass(kind) and isinstance(kind, type):
            groups[parameter.name] = kind
            shown += _fields_of(kind)
        else:
            shown.append(parameter.replace(annotation=kind, kind=inspect.Parameter.KEYWORD_ONLY))

    @wraps(command)
    def run(**given: Any) -> None:
        made = {
            name: kind(**{field.name: given.pop(field.name) for field in fields(kind)}) for name, kind in groups.items()
        }
        command(**given, **made)

    del run.__wrapped__  # or its signature would be taken
    vars(run)["__signature__"] = inspect.Signature(shown)
    run.__annotations__ = {parameter.name: parameter.annotation for parameter in shown}
    return run


def _fields_of(kind: type[Any]) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=hints[field.name],
        )
        for field in fields(kind)
    ]


@dataclass(frozen=True, slots=True)
class Connection:
    """Where the service is, and as whom to speak to it."""

    url: Annotated[
        str | None,
        typer.Option(help="The service.  Default: $CVC_URL, the profile, localhost.", rich_help_panel=_CONNECTION),
    ] = None
    profile: Annotated[
        str | None,
        typer.Option(help="A profile of the configuration file.  Default: $CVC_PROFILE.", rich_help_panel=_CONNECTION),
    ] = None
    patience: Annotated[
        float,
        typer.Option(min=0, help="Seconds to keep trying while the service is away.", rich_help_panel=_CONNECTION),
    ] = 60.0


def _complete_format(incomplete: str) -> list[str]:
    return [name for name in FORMAT_NAMES if name.startswith(incomplete)]


def _wish(text: str, *names: str) -> Any:
    return typer.Option(*names, help=text, rich_help_panel=_WISHES)


@dataclass(frozen=True, slots=True)
class Wishes:
    """The output format, and the options of a job as flags."""

    to: Annotated[
        str,
        typer.Option(
            "--to",
            "-t",
            help="Output format: mp4, webm, mp3, …; see `cvc formats`.",
            autocompletion=_complete_format,
            rich_help_panel=_WISHES,
        ),
    ]
    max_height: Annotated[int | None, _wish("Scale pictures down to so many lines.")] = None
    max_width: Annotated[int | None, _wish("Scale pictures down to so many columns.")] = None
    fps: Annotated[float | None, _wish("Frames a second.")] = None
    quality: Annotated[str | None, _wish("fast, balanced, best, or a rate factor (0 to 63, lower is better).")] = None
    video: Annotated[str | None, _wish("Video codec: h264, hevc, av1, vp9; copy; none.")] = None
    bit_depth: Annotated[int | None, _wish("8, or 10 for hevc, av1 and vp9.")] = None
    video_bitrate: Annotated[int | None, _wish("Aim at a video bitrate, in kbit/s, in two passes.")] = None
    target_size: Annotated[str | None, _wish("Aim at a size, such as 25MB, in two passes.")] = None
    audio: Annotated[str | None, _wish("Audio codec: aac, mp3, opus, vorbis, flac, pcm; copy; none.")] = None
    audio_bitrate: Annotated[int | None, _wish("Audio bitrate, in kbit/s.")] = None
    channels: Annotated[int | None, _wish("1 for mono, 2 for stereo.")] = None
    normalize: Annotated[bool, typer.Option("--normalize", help="Even out the loudness.", rich_help_panel=_WISHES)] = (
        False
    )
    start: Annotated[str | None, _wish("Begin here: seconds, or h:mm:ss.")] = None
    end: Annotated[str | None, _wish("End here.")] = None
    subtitles: Annotated[str | None, _wish("keep, drop, or burn into the picture.")] = None
    metadata: Annotated[str | None, _wish("keep or strip: title, place, device, chapters.")] = None
    option: Annotated[
        list[str] | None, _wish("Any option of the API, as NAME=VALUE: -O trim.end_s=5", "--option", "-O")
    ] = None


Json = Annotated[bool, typer.Option("--json", help="Machine-readable output.")]
Ids = Annotated[list[str], typer.Argument(help="Jobs, by id.", metavar="JOB", show_default=False)]


def given(values: Mapping[str, Any]) -> dict[str, Any]:
    """Those that were given."""
    return {name: value for name, value in values.items() if value is not None}
