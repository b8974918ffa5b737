"""Reading ffprobe: what it says, and what hostile files make it say."""

from fractions import Fraction
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.transcoder.ffprobe_json import parse
from services.transcoder.media import MediaInfo, VideoStream, bit_depth


def matrix(a: int, b: int, c: int, d: int) -> str:
    """A display matrix as ffprobe prints it."""
    rows = ((a, b, 0), (c, d, 0), (0, 0, 1 << 30))
    return "\n" + "".join(f"{n:08}:" + "".join(f"{value:12}" for value in row) + "\n" for n, row in enumerate(rows))


ONE = 65536
MATRIX_90, MATRIX_FLIP, MATRIX_NONE = matrix(0, ONE, -ONE, 0), matrix(-ONE, 0, 0, ONE), matrix(ONE, 0, 0, ONE)


def video(frames: list[dict[str, Any]] | None = None, **fields: Any) -> VideoStream:
    stream = {"index": 0, "codec_type": "video", "codec_name": "h264", "width": 128, "height": 72, **fields}
    return parse({"format": {"format_name": "mov,mp4"}, "streams": [stream], "frames": frames or []}).video[0]


def test_streams_by_type() -> None:
    info = parse(
        {
            "format": {
                "format_name": "matroska,webm",
                "duration": "12.5",
                "start_time": "0.1",
                "size": "1000",
                "tags": {"TITLE": "x"},
            },
            "chapters": [{}, {}],
            "streams": [
                {"index": 0, "codec_type": "audio", "codec_name": "aac", "channels": 6, "channel_layout": "5.1(side)"},
                {"index": 1, "codec_type": "video", "codec_name": "png", "disposition": {"attached_pic": 1}},
                {"index": 2, "codec_type": "video", "codec_name": "h264", "disposition": {"default": 1}},
                {"index": 3, "codec_type": "subtitle", "codec_name": "subrip", "tags": {"LANGUAGE": "deu"}},
                {"index": 4, "codec_type": "subtitle", "codec_name": "dvd_subtitle"},
                {"index": 5, "codec_type": "data", "codec_tag_string": "tmcd"},
                {"index": 6, "codec_type": "attachment", "codec_name": "ttf", "tags": {"mimetype": "font/ttf"}},
                {"index": 7},
            ],
        }
    )

    assert (info.formats, info.duration_s, info.start_s, info.chapters) == (("matroska", "webm"), 12.5, 0.1, 2)
    assert info.tags == {"title": "x"}
    assert [stream.index for stream in info.pictures] == [2]
    assert [stream.index for stream in info.covers] == [1]
    assert (info.audio[0].channels, info.audio[0].layout) == (6, "5.1(side)")
    assert [(stream.language, stream.text) for stream in info.subtitles] == [("deu", True), (None, False)]
    assert [(stream.index, stream.kind, stream.codec) for stream in info.others] == [
        (5, "data", "tmcd"),
        (6, "attachment", "ttf"),
        (7, "data", None),
    ]


@pytest.mark.parametrize(
    ("fields", "turned"),
    [
        ({}, (0, False)),
        ({"side_data_list": [{"displaymatrix": MATRIX_NONE}]}, (0, False)),
        ({"side_data_list": [{"displaymatrix": MATRIX_90}]}, (90, False)),
        ({"side_data_list": [{"displaymatrix": MATRIX_FLIP}]}, (180, True)),
        ({"side_data_list": [{"displaymatrix": "nonsense"}]}, (0, False)),
        ({"tags": {"rotate": "270"}}, (270, False)),
        ({"tags": {"rotate": "often"}}, (0, False)),
    ],
)
def test_rotation(fields: dict[str, Any], turned: tuple[int, bool]) -> None:
    stream = video(**fields)

    assert (stream.rotation, stream.mirrored) == turned


@pytest.mark.parametrize(
    ("order", "frames", "expected"),
    [
        ("progressive", [], (None, False)),
        ("tt", [], ("tff", False)),
        ("tb", [], ("bff", False)),
        ("bt", [], ("tff", False)),
        ("unknown", [{"interlaced_frame": 1, "top_field_first": 1}], ("tff", True)),
        ("tt", [{"interlaced_frame": 0}, {"interlaced_frame": 1, "top_field_first": 0}], ("bff", True)),
    ],
)
def test_interlacing(order: str, frames: list[dict[str, Any]], expected: tuple[str | None, bool]) -> None:
    stream = video([{"stream_index": 0, **frame} for frame in frames], field_order=order)

    assert (stream.interlaced, stream.flagged) == expected


def test_the_decoder_knows_more_than_the_container() -> None:
    stream = video([{"stream_index": 0, "color_transfer": "smpte2084", "pix_fmt": "yuv420p10le"}])

    assert (stream.hdr, stream.pix_fmt) == ("pq", "yuv420p10le")


@pytest.mark.parametrize(
    ("container", "fields", "flags", "edited"),
    [
        ("mov,mp4", {}, "K_", False),
        ("mov,mp4", {}, "KD", True),
        ("matroska", {}, "KD", False),
        ("mov,mp4", {"nb_frames": "200", "duration": "4", "r_frame_rate": "10/1"}, "K_", True),
        ("mov,mp4", {"nb_frames": "40", "duration": "4", "r_frame_rate": "10/1"}, "K_", False),
        ("avi", {"nb_frames": "200", "duration": "4", "r_frame_rate": "10/1"}, "K_", False),
    ],
)
def test_hidden_frames_are_seen(container: str, fields: dict[str, str], flags: str, edited: bool) -> None:
    found = {
        "format": {"format_name": container},
        "streams": [{"index": 0, "codec_type": "video", **fields}],
        "packets_and_frames": [{"type": "packet", "stream_index": 0, "flags": flags}, {"type": "frame"}],
    }

    assert parse(found).video[0].edited is edited


@pytest.mark.parametrize(
    ("value", "expected"),
    [("N/A", None), ("-9223372036854.775808", None), ("0.000000", None), ("nan", None), ("1e300", None), ("2.5", 2.5)],
)
def test_durations(value: str, expected: float | None) -> None:
    assert parse({"format": {"duration": value}, "streams": []}).duration_s == expected


def test_a_stream_tells_the_length_that_the_container_does_not() -> None:
    streams = [{"codec_type": "video", "tags": {"DURATION": "00:01:01.500000000"}}, {"duration": "3.0"}]

    assert parse({"format": {}, "streams": streams}).duration_s == 61.5


def test_ratios() -> None:
    stream = video(r_frame_rate="30000/1001", avg_frame_rate="0/0", sample_aspect_ratio="0:1")

    assert (stream.frame_rate, stream.average_rate, stream.sar) == (Fraction(30000, 1001), None, 1)


@pytest.mark.parametrize(
    ("pix_fmt", "depth", "alpha", "rgb"),
    [
        ("yuv420p", 8, False, False),
        ("yuv420p10le", 10, False, False),
        ("yuva444p12be", 12, True, False),
        ("p010le", 10, False, False),
        ("rgb48be", 16, False, True),
        ("rgba64le", 16, True, True),
        ("gbrap10le", 10, True, True),
        ("gray16le", 16, False, False),
        ("pal8", 8, True, True),
        ("x2rgb10le", 10, False, True),
        ("nv12", 8, False, False),
        ("", 8, False, False),
    ],
)
def test_pixel_formats(pix_fmt: str, depth: int, alpha: bool, rgb: bool) -> None:
    stream = VideoStream(0, pix_fmt=pix_fmt)

    assert (bit_depth(pix_fmt), stream.alpha, stream.rgb) == (depth, alpha, rgb)


plain = st.one_of(st.none(), st.booleans(), st.floats(), st.integers(), st.text(max_size=8))
json_values = st.one_of(plain, st.lists(plain, max_size=2), st.dictionaries(st.text(max_size=5), plain, max_size=2))
fields = st.dictionaries(
    st.sampled_from(
        [
            "index",
            "codec_type",
            "codec_name",
            "width",
            "height",
            "duration",
            "nb_frames",
            "r_frame_rate",
            "sample_aspect_ratio",
            "pix_fmt",
            "tags",
            "side_data_list",
            "disposition",
            "channels",
            "sample_rate",
            "field_order",
            "level",
        ]
    ),
    json_values,
    max_size=6,
)


@given(fields, fields, fields, st.sampled_from(["video", "audio", "subtitle", "data"]))
def test_no_json_is_too_strange(
    container: dict[str, Any], stream: dict[str, Any], frame: dict[str, Any], kind: str
) -> None:
    probed = {"format": container, "streams": [stream, {**stream, "codec_type": kind}], "frames": [frame]}

    assert isinstance(parse(probed), MediaInfo)
