"""What can be asked for, what cannot, and what the answer says."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.formats import FORMAT_NAMES, FORMATS, describe
from services.common.options import Options, OptionsError, check, options_schema, parse_options


def test_formats_are_those_promised() -> None:
    promised = "mp4 webm mkv mov m4v avi ts gif webp mp3 m4a aac opus ogg flac wav"

    assert " ".join(FORMAT_NAMES) == promised
    for name in FORMAT_NAMES:
        fmt = FORMATS[name]
        assert (fmt.name, fmt.extension) == (name, name)
        assert fmt.content_type.startswith(("video/", "audio/", "image/"))
        assert bool(fmt.video) == (fmt.kind != "audio")
        assert bool(fmt.audio) == (fmt.kind != "image")
        assert describe(fmt)["name"] == name


def test_nothing_asked_for_is_fine_everywhere() -> None:
    for name in FORMAT_NAMES:
        assert check(name, Options()) == []


def test_options_survive_the_way_through_json() -> None:
    asked = {
        "video": "hevc",
        "quality": "best",
        "bit_depth": 10,
        "max_height": 720,
        "fps": 23.976,
        "trim": {"start_s": 1.5, "end_s": 3},
        "audio": {"codec": "aac", "bitrate_kbps": 96, "channels": 1, "normalize": True},
        "subtitles": "drop",
        "metadata": "strip",
    }
    options = parse_options(asked)

    assert parse_options(options.model_dump(mode="json")) == options


def test_video_codec_is_another_name() -> None:
    assert parse_options({"video_codec": "vp9"}) == parse_options({"video": "vp9"})


@pytest.mark.parametrize(
    ("raw", "field", "says"),
    [
        ({"zoom": 2}, "options.zoom", "no such option"),
        ({"trim": {"from": 2}}, "options.trim.from", "no such option"),
        ({"audio": {"kbps": 2}}, "options.audio.kbps", "no such option"),
        ({"video": "xvid"}, "options.video", "'h264'"),
        ({"quality": "good"}, "options.quality", "fast, balanced, best"),
        ({"quality": 64}, "options.quality", "0 to 63"),
        ({"quality": True}, "options.quality", "fast, balanced, best"),
        ({"audio": {"codec": "wma"}}, "options.audio.codec", "'aac'"),
        ({"audio": 3}, "options.audio", "none"),
        ({"trim": {"start_s": 3, "end_s": 3}}, "options.trim", "greater"),
        ({"trim": {"start_s": -1}}, "options.trim.start_s", "greater"),
        ({"trim": {"start_s": float("nan")}}, "options.trim.start_s", "number"),
        ({"fps": float("inf")}, "options.fps", "number"),
        ({"max_height": 0}, "options.max_height", "greater"),
        ({"two_pass": {}}, "options.two_pass", "either"),
        ({"two_pass": {"target_size": "9MB", "bitrate_kbps": 90}}, "options.two_pass", "either"),
        ({"two_pass": {"target_size": 0}}, "options.two_pass.target_size", "greater"),
        ({"subtitles": "translate"}, "options.subtitles", "keep"),
        ({"video": "h264", "video_codec": "vp9"}, "options.video_codec", "no such option"),
    ],
)
def test_misspelt_wishes_are_told(raw: dict[str, Any], field: str, says: str) -> None:
    with pytest.raises(OptionsError) as error:
        parse_options(raw)

    ((found, message),) = error.value.errors
    assert found == field
    assert says in message


@pytest.mark.parametrize(
    ("fmt", "raw", "field"),
    [
        ("mp4 -i /etc/passwd", {}, "output_format"),
        ("../x", {}, "output_format"),
        ("-y", {}, "output_format"),
        ("lavfi", {}, "output_format"),
        ("MP4", {}, "output_format"),
        ("webm", {"video": "h264"}, "options.video"),
        ("gif", {"video": "h264"}, "options.video"),
        ("gif", {"video": "none"}, "options.video"),
        ("mp3", {"video": "copy"}, "options.video"),
        ("mp4", {"video": "none", "audio": "none"}, "options.audio"),
        ("mp4", {"quality": 52}, "options.quality"),
        ("mp4", {"bit_depth": 10}, "options.bit_depth"),
        ("mp4", {"video": "copy", "max_height": 100}, "options.max_height"),
        ("mp4", {"video": "copy", "fps": 10}, "options.fps"),
        ("mp4", {"video": "copy", "subtitles": "burn"}, "options.subtitles"),
        ("mp4", {"video": "none", "subtitles": "burn"}, "options.subtitles"),
        ("mp4", {"video": "copy", "two_pass": {"bitrate_kbps": 100}}, "options.two_pass"),
        ("mp4", {"quality": 20, "two_pass": {"bitrate_kbps": 100}}, "options.two_pass"),
        ("gif", {"two_pass": {"bitrate_kbps": 100}}, "options.two_pass"),
        ("mp3", {"max_height": 100}, "options.max_height"),
        ("mp3", {"audio": "none"}, "options.audio"),
        ("gif", {"audio": {"channels": 1}}, "options.audio"),
        ("mp3", {"audio": {"codec": "opus"}}, "options.audio.codec"),
        ("mp3", {"audio": {"channels": 6}}, "options.audio.channels"),
        ("flac", {"audio": {"bitrate_kbps": 100}}, "options.audio.bitrate_kbps"),
        ("mp4", {"audio": {"codec": "copy", "normalize": True}}, "options.audio.normalize"),
    ],
)
def test_what_no_file_makes_possible(fmt: str, raw: dict[str, Any], field: str) -> None:
    ((found, message),) = check(fmt, parse_options(raw))

    assert found == field
    assert message.endswith(".")


def test_the_schema_is_closed() -> None:
    schema = options_schema()

    assert schema["additionalProperties"] is False
    assert all(part["additionalProperties"] is False for part in schema["$defs"].values())
    assert set(schema["properties"]) == set(Options.model_fields)


json_values = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=10), st.just({}))


@given(st.dictionaries(st.one_of(st.sampled_from(sorted(Options.model_fields)), st.text(max_size=8)), json_values))
def test_any_json_is_options_or_an_error(raw: dict[str, Any]) -> None:
    outcome = _parsed(raw)
    if isinstance(outcome, OptionsError):
        assert all(field.startswith("options") and message for field, message in outcome.errors)
        return
    for name in FORMAT_NAMES:
        check(name, outcome)


def _parsed(raw: dict[str, Any]) -> Options | OptionsError:
    try:
        return parse_options(raw)
    except OptionsError as error:
        return error
