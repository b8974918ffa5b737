"""What a job may ask for beyond the format, and what of it cannot be.

`Options` is a closed schema: a name it does not know is an error, for a misspelt wish must not be ignored.
`check` finds what no file could make possible; what depends on the file is found by the transcoder's plan.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Final, Literal, Self

from pydantic import AliasChoices, BaseModel, ByteSize, ConfigDict, Field, ValidationError, model_validator

from services.common.formats import FORMAT_NAMES, FORMATS, Format

MAX_CRF: Final = 63
MAX_SIDE: Final = 8192
_CRF_LIMIT: Final = {"h264": 51, "hevc": 51, "av1": 63, "vp9": 63}
_LOSSLESS: Final = frozenset({"flac", "pcm"})
_TEN_BIT: Final = frozenset({"hevc", "av1", "vp9"})
_AUDIO_CHANNELS: Final = {"mp3": 2, "aac": 6}

_UNKNOWN: Final = "There is no such option; GET /formats lists them all."
_UNIONS: Final = {
    "options.quality": f"Choose fast, balanced, best, or a rate factor from 0 to {MAX_CRF}.",
    "options.audio": 'Give an object such as {"codec": "aac"}, or "none".',
}

Crf = Annotated[int, Field(strict=True, ge=0, le=MAX_CRF)]
Seconds = Annotated[float, Field(ge=0, le=1_000_000, allow_inf_nan=False)]


class _Closed(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class Trim(_Closed):
    """The piece of the input to convert, in seconds from its start."""

    start_s: Seconds = Field(0.0, description="Where the piece begins, in seconds.")
    end_s: Seconds | None = Field(None, description="Where it ends; left out, at the end of the input.")

    @model_validator(mode="after")
    def _ordered(self) -> Self:
        if self.end_s is not None and self.end_s <= self.start_s:
            raise ValueError("end_s must be greater than start_s")
        return self


class AudioOptions(_Closed):
    """How sound is written.  What is left out is chosen from the input."""

    codec: Literal["aac", "mp3", "opus", "vorbis", "flac", "pcm", "copy"] | None = Field(
        None, description="`copy` keeps the sound as it is."
    )
    bitrate_kbps: Annotated[int, Field(ge=8, le=1024)] | None = Field(None, description="Of each track.")
    channels: Annotated[int, Field(ge=1, le=8)] | None = Field(None, description="1 is mono, 2 is stereo.")
    normalize: bool = Field(default=False, description="Even out the loudness to -16 LUFS (EBU R128, measured first).")


class TwoPass(_Closed):
    """Aim at a size or a bitrate instead of a quality.  Exactly one of the two."""

    target_size: ByteSize | None = Field(None, gt=0, description="Of the whole output: bytes, or text such as `25MB`.")
    bitrate_kbps: Annotated[int, Field(ge=10, le=200_000)] | None = Field(None, description="Of the picture.")

    @model_validator(mode="after")
    def _one(self) -> Self:
        if (self.target_size is None) == (self.bitrate_kbps is None):
            raise ValueError("give either target_size or bitrate_kbps")
        return self


class Options(_Closed):
    """The wishes of a job.  All may be left out."""

    video: Literal["h264", "hevc", "av1", "vp9", "copy", "none"] | None = Field(
        None,
        validation_alias=AliasChoices("video", "video_codec"),
        description="Codec of the picture; `copy` keeps it as it is, `none` leaves only sound.",
    )
    quality: Literal["fast", "balanced", "best"] | Annotated[int, Field(strict=True, ge=0, le=MAX_CRF)] = Field(
        "balanced", description="A step, or a constant rate factor: lower is better and larger."
    )
    bit_depth: Literal[8, 10] = Field(8, description="Bits a sample; 10 is for hevc, av1 and vp9.")
    max_height: Annotated[int, Field(ge=16, le=MAX_SIDE)] | None = Field(
        None, description="Pixels; larger pictures are scaled down, smaller ones are left."
    )
    max_width: Annotated[int, Field(ge=16, le=MAX_SIDE)] | None = Field(
        None, description="The same for the width; the shape of the picture stays."
    )
    fps: Annotated[float, Field(ge=1, le=240, allow_inf_nan=False)] | None = Field(
        None, description="Frames a second of the output."
    )
    trim: Trim | None = None
    audio: AudioOptions | Literal["none"] = AudioOptions()
    subtitles: Literal["keep", "drop", "burn"] = Field(
        "keep", description="`burn` draws the first subtitle track into the picture."
    )
    two_pass: TwoPass | None = None
    metadata: Literal["keep", "strip"] = Field("keep", description="`strip` removes title, place, device and chapters.")

    @property
    def sound(self) -> AudioOptions:
        """The wishes for sound, also where there will be none."""
        return AudioOptions() if self.audio == "none" else self.audio


class OptionsError(ValueError):
    """Options that do not fit the schema.

    `errors` are (field, message) pairs, a field as `options.trim.end_s`.
    """

    def __init__(self, errors: list[tuple[str, str]]) -> None:
        super().__init__("; ".join(f"{field}: {message}" for field, message in errors))
        self.errors = errors


def parse_options(raw: Mapping[str, Any]) -> Options:
    """The options of a job from its JSON.

    Raises:
        OptionsError: they do not fit the schema.
    """
    try:
        return Options.model_validate(dict(raw))
    except ValidationError as error:
        raise OptionsError(_problems(error)) from None


def _problems(error: ValidationError) -> list[tuple[str, str]]:
    """One (field, message) a problem; of the branches of a union only the first is told."""
    problems: dict[str, str] = {}
    for item in error.errors(include_url=False, include_context=False, include_input=False):
        unknown = item["type"] == "extra_forbidden"
        *branch, last = (str(part) for part in item["loc"])
        names = [name for name in branch if name in _FIELD_NAMES]
        if unknown or last in _FIELD_NAMES:
            names.append(last)
        field = ".".join(["options", *names])
        message = _UNKNOWN if unknown else _UNIONS.get(field, item["msg"].removeprefix("Value error, "))
        problems.setdefault(field, message)
    if any(field.startswith("options.audio.") for field in problems):
        problems.pop("options.audio", None)  # what the other branch of the union had to say
    return list(problems.items())


def check(output_format: str, options: Options) -> list[tuple[str, str]]:
    """What cannot be, whatever the file: (field, message) pairs, empty if all is well."""
    fmt = FORMATS.get(output_format)
    if fmt is None:
        return [("output_format", f"Choose one of: {', '.join(FORMAT_NAMES)}.")]
    return [*_check_video(fmt, options), *_check_audio(fmt, options), *_check_two_pass(fmt, options)]


def _check_video(fmt: Format, options: Options) -> list[tuple[str, str]]:
    found: list[tuple[str, str]] = []
    video = options.video
    if fmt.kind != "video" and video not in (None, "none"):
        found.append(("options.video", f"{fmt.name} takes no video codec; leave this out."))
    elif fmt.kind == "image" and video == "none":
        found.append(("options.video", f"{fmt.name} is nothing but picture; choose a format with sound."))
    elif video not in (None, "none", "copy", *fmt.video):
        found.append(("options.video", f"{fmt.name} holds {_either(fmt.video)}, not {video}."))
    if fmt.kind == "video" and video == "none" and options.audio == "none":
        found.append(("options.audio", "Without picture and sound nothing is left; keep one of them."))
    found += _check_encoding(fmt, options)
    if options.subtitles == "burn" and not _encodes_video(fmt, options):
        found.append(("options.subtitles", "Subtitles can only be drawn into a picture that is encoded."))
    return found


def _check_encoding(fmt: Format, options: Options) -> list[tuple[str, str]]:
    """Wishes that only an encoder can fulfil."""
    found: list[tuple[str, str]] = []
    codec = options.video or (fmt.video[0] if fmt.video else None)
    if isinstance(options.quality, int) and options.quality > _CRF_LIMIT.get(str(codec), MAX_CRF):
        found.append(("options.quality", f"For {codec} it is 0 to {_CRF_LIMIT[str(codec)]}."))
    if options.bit_depth != 8 and codec not in _TEN_BIT:  # noqa: PLR2004 -- the usual depth
        found.append(("options.bit_depth", f"10 bits need {_either(sorted(_TEN_BIT))} as options.video."))
    if options.video == "copy":
        found += [
            (f"options.{name}", "A picture that is copied stays as it is; leave this out or choose a codec.")
            for name in ("max_height", "max_width", "fps")
            if getattr(options, name) is not None
        ]
    if fmt.kind == "audio":
        found += [
            (f"options.{name}", f"{fmt.name} has no picture; leave this out.")
            for name in ("max_height", "max_width", "fps", "two_pass")
            if getattr(options, name) is not None
        ]
    return found


def _check_audio(fmt: Format, options: Options) -> list[tuple[str, str]]:
    if options.audio == "none":
        if fmt.kind == "audio":
            return [("options.audio", f"{fmt.name} is nothing but sound; choose a video format.")]
        return []
    audio, found = options.audio, list[tuple[str, str]]()
    if fmt.kind == "image":
        if audio != AudioOptions():
            found.append(("options.audio", f"{fmt.name} has no sound; leave this out."))
        return found
    codec = audio.codec or fmt.audio[0]
    if audio.codec not in (None, "copy", *fmt.audio):
        found.append(("options.audio.codec", f"{fmt.name} holds {_either(fmt.audio)}, not {audio.codec}."))
    if audio.codec == "copy":
        found += [
            (
                f"options.audio.{name}",
                "Sound that is copied stays as it is; leave this out or choose a codec.",
            )
            for name in ("bitrate_kbps", "channels", "normalize")
            if getattr(audio, name)
        ]
    if codec in _LOSSLESS and audio.bitrate_kbps is not None:
        found.append(("options.audio.bitrate_kbps", f"{codec} keeps everything and takes no bitrate."))
    if audio.channels is not None and audio.channels > _AUDIO_CHANNELS.get(codec, 8):
        found.append(("options.audio.channels", f"{codec} takes at most {_AUDIO_CHANNELS[codec]} channels."))
    return found


def _check_two_pass(fmt: Format, options: Options) -> list[tuple[str, str]]:
    if options.two_pass is None or fmt.kind == "audio":
        return []
    if fmt.kind == "image" or not _encodes_video(fmt, options):
        return [("options.two_pass", "A size or bitrate can only be aimed at where a video codec encodes.")]
    if isinstance(options.quality, int):
        return [("options.two_pass", "Choose either a rate factor as quality, or a size or bitrate.")]
    return []


def _encodes_video(fmt: Format, options: Options) -> bool:
    return fmt.kind != "audio" and options.video not in ("copy", "none")


def _either(names: tuple[str, ...] | list[str]) -> str:
    return " or ".join([", ".join(names[:-1]), names[-1]] if len(names) > 1 else list(names))


_FIELD_NAMES: Final = frozenset(
    name for model in (Options, Trim, AudioOptions, TwoPass) for name in model.model_fields
) | {"video_codec"}


def options_schema() -> dict[str, Any]:
    """The JSON Schema of `Options`, for `GET /formats` and the API document."""
    return Options.model_json_schema()
