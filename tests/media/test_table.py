"""What real files did to others, and what is right."""

import pytest

from services.common.errors import ErrorCode
from tests.media.conftest import Clip
from tests.media.studio import Studio, difference, frame, frames, pixel, probe

# Mean distance of frames that show the same, after scaling and encoding; turned or wrong in colour it is past 40.
ALIKE = 12


async def test_odd_size(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("odd.mkv"))

    assert (made.video["width"], made.video["height"]) == (126, 70)
    assert made.video["pix_fmt"] == "yuv420p"
    assert difference(frame(clip("odd.mkv")), frame(made.path)) < ALIKE


async def test_a_single_pixel(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("one-pixel.mkv"))

    assert (made.video["width"], made.video["height"]) == (2, 2)


async def test_rotation_by_matrix_alone(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("rotated.mp4"))

    assert (made.video["width"], made.video["height"]) == (72, 128)
    assert not any(side.get("rotation") for side in made.video.get("side_data_list", []))
    assert "rotate" not in made.video.get("tags", {})
    # Players turn the input; the output is already so.
    assert difference(frame(clip("rotated.mp4"), size=(18, 32)), frame(made.path, size=(18, 32))) < ALIKE


async def test_no_duration(studio: Studio, clip: Clip) -> None:
    assert "duration" not in probe(clip("live.webm"))["format"]

    made = await studio.convert(clip("live.webm"))

    assert made.duration == pytest.approx(1.0, abs=0.1)
    assert made.percents == []
    assert made.warnings == []


async def test_cut_before_its_index(studio: Studio, clip: Clip) -> None:
    failure = await studio.failure(clip("no-index.mp4"))

    assert failure.code is ErrorCode.TRUNCATED_INPUT
    assert not failure.transient
    assert "upload the whole file again" in failure.message


@pytest.mark.parametrize("name", ["half.mp4", "half.mkv", "half.flac"])
async def test_half_a_file(studio: Studio, clip: Clip, name: str) -> None:
    failure = await studio.failure(clip(name), "mp3")

    assert failure.code is ErrorCode.TRUNCATED_INPUT
    assert "only" in failure.message


async def test_half_a_file_to_video(studio: Studio, clip: Clip) -> None:
    for options in ({}, {"quality": "fast"}):
        failure = await studio.failure(clip("half.mp4"), "mp4", **options)

        assert failure.code is ErrorCode.TRUNCATED_INPUT


async def test_half_a_file_whose_container_cannot_tell(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("half.avi"))

    assert made.warnings


async def test_no_sound(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("silent.mp4"), "webm")

    assert [stream["codec_type"] for stream in made.probed["streams"]] == ["video"]


async def test_sound_alone(studio: Studio, clip: Clip) -> None:
    failure = await studio.failure(clip("audio.m4a"))
    assert failure.code is ErrorCode.NO_VIDEO

    made = await studio.convert(clip("audio.m4a"), "mp3")
    assert made.audio["codec_name"] == "mp3"


async def test_no_sound_where_sound_is_wanted(studio: Studio, clip: Clip) -> None:
    failure = await studio.failure(clip("silent.mp4"), "mp3")

    assert failure.code is ErrorCode.NO_AUDIO


async def test_cover_art_is_not_video(studio: Studio, clip: Clip) -> None:
    assert (await studio.failure(clip("cover.m4a"))).code is ErrorCode.NO_VIDEO

    made = await studio.convert(clip("cover.mp4"))
    assert (made.video["width"], made.video["codec_name"]) == (128, "h264")

    song = await studio.convert(clip("cover.m4a"), "mp3")
    assert [stream["disposition"]["attached_pic"] for stream in song.streams("video")] == [1]


async def test_timecode_track(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("timecode.mov"))

    assert [stream["codec_type"] for stream in made.probed["streams"]] == ["video", "audio"]


async def test_subtitles_as_pictures(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("pictures.mkv"))

    assert made.warnings == ["subtitles_dropped"]
    assert not made.streams("subtitle")


@pytest.mark.parametrize(
    ("name", "fmt", "codec"),
    [
        ("srt.mkv", "mp4", "mov_text"),
        ("ass.mkv", "mp4", "mov_text"),
        ("mov-text.mp4", "mkv", "subrip"),
        ("srt.mkv", "webm", "webvtt"),
        ("ass.mkv", "mkv", "ass"),
        ("srt.mkv", "mov", "mov_text"),
    ],
)
async def test_subtitles_as_text(studio: Studio, clip: Clip, name: str, fmt: str, codec: str) -> None:
    made = await studio.convert(clip(name), fmt)

    (subtitles,) = made.streams("subtitle")
    assert subtitles["codec_name"] == codec
    assert subtitles["tags"]["language"] in ("deu", "ger")
    assert made.warnings == []


async def test_five_one_side_to_opus(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("side51.mov"), "webm")

    assert (made.audio["codec_name"], made.audio["channels"]) == ("opus", 6)
    assert made.audio["channel_layout"] == "5.1"


async def test_uncompressed_sound(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("pcm.mov"))

    assert made.audio["codec_name"] == "aac"
    assert made.fate(0).action == "copy"


@pytest.mark.parametrize("name", ["444.mp4", "10bit.mp4"])
async def test_pixels_that_browsers_lack(studio: Studio, clip: Clip, name: str) -> None:
    made = await studio.convert(clip(name))

    assert (made.video["pix_fmt"], made.video["profile"]) == ("yuv420p", "High")
    assert difference(frame(clip(name)), frame(made.path)) < ALIKE


@pytest.mark.parametrize("name", ["pq.mp4", "hlg.mp4"])
@pytest.mark.parametrize("fmt", ["mp4", "webm"])
async def test_high_dynamic_range(studio: Studio, clip: Clip, name: str, fmt: str) -> None:
    made = await studio.convert(clip(name), fmt)

    assert made.video["pix_fmt"] == "yuv420p"
    assert {made.video[key] for key in ("color_space", "color_transfer", "color_primaries")} == {"bt709"}
    assert made.video["color_range"] == "tv"


async def test_tone_mapping_looks_like_the_film(studio: Studio, clip: Clip) -> None:
    """Nearer to what was filmed than the samples taken as they are."""
    film = frame(clip("sdr-film.mkv"), 0.4)
    mapped = await studio.convert(clip("pq-film.mp4"))
    as_they_are = await studio.convert(clip("pq-film.mp4"), "mkv", video="copy")
    raw = frame(as_they_are.path, 0.4)

    assert difference(frame(mapped.path, 0.4), film) < 40
    assert difference(frame(mapped.path, 0.4), film) < difference(raw, film) * 0.8


@pytest.mark.parametrize("name", ["interlaced.mp4", "interlaced.mkv", "interlaced.ts", "interlaced.avi"])
async def test_interlaced(studio: Studio, clip: Clip, name: str) -> None:
    made = await studio.convert(clip(name))

    assert made.video["field_order"] == "progressive"
    assert len(frames(made.path)) == len(frames(clip(name)))
    assert "it is interlaced" in made.fate(0).reason or "expect h264" in made.fate(0).reason


async def test_combs_are_gone(studio: Studio, clip: Clip) -> None:
    def roughness(data: bytes) -> float:
        """How much lines differ from those next to them, against those two away."""
        width, height = 128 * 3, 72
        rows = [data[y * width : (y + 1) * width] for y in range(height)]
        near = sum(difference(rows[y], rows[y + 1]) for y in range(height - 2))
        far = sum(difference(rows[y], rows[y + 2]) for y in range(height - 2))
        return near / far

    made = await studio.convert(clip("interlaced.mkv"), "mkv")
    before, after = (roughness(frame(path, 0.5, (128, 72))) for path in (clip("interlaced.mkv"), made.path))

    assert after < before


async def test_anamorphic(studio: Studio, clip: Clip) -> None:
    for fmt, options in (("mp4", {}), ("mp4", {"quality": "fast"}), ("webm", {}), ("mkv", {"max_height": 36})):
        made = await studio.convert(clip("anamorphic.mp4"), fmt, **options)

        across, down = map(int, made.video.get("sample_aspect_ratio", "1:1").split(":"))
        shape = made.video["width"] * across / (made.video["height"] * down)
        assert shape == pytest.approx(128 * 64 / (72 * 45), rel=0.02)


async def test_joined_streams(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("twice.ts"))
    times = frames(made.path)

    assert made.duration == pytest.approx(2.0, abs=0.15)
    assert len(times) == 20
    assert times == sorted(set(times))
    assert max(made.percents) <= 99.9


@pytest.mark.parametrize("fmt", ["mp4", "mkv", "webm", "avi", "mov"])
async def test_a_pause_of_an_hour(studio: Studio, clip: Clip, fmt: str) -> None:
    made = await studio.convert(clip("gap.mp4"), fmt)

    assert made.duration == pytest.approx(3601, abs=1)
    assert made.path.stat().st_size < 2_000_000
    assert made.conversion.plan.streams[0].action in ("copy", "encode")
    if fmt != "avi":  # which has to count its pauses
        assert len(frames(made.path)) == 10


async def test_a_pause_of_an_hour_stays_in_step_with_its_sound(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("gap-sound.mkv"), quality="fast")
    times = frames(made.path)

    assert times[-1] == pytest.approx(3600.9, abs=0.2)
    assert float(made.audio["duration"]) == pytest.approx(3601, abs=0.5)


async def test_a_single_frame(studio: Studio, clip: Clip) -> None:
    for options in ({}, {"quality": "fast"}):
        made = await studio.convert(clip("one-frame.mp4"), **options)

        assert len(frames(made.path)) == 1
        assert made.thumbnail is not None


async def test_sound_first(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("audio-first.mp4"))

    assert [stream["codec_type"] for stream in made.probed["streams"]] == ["video", "audio"]


async def test_titles_chapters_languages_and_the_default_track(studio: Studio, clip: Clip) -> None:
    for fmt in ("mp4", "mov", "mkv", "webm"):
        made = await studio.convert(clip("rich.mkv"), fmt)
        tracks = made.streams("audio")

        assert [track["tags"]["language"] for track in tracks] == ["eng", "fra"]
        assert [track["disposition"]["default"] for track in tracks] == [0, 1]
        assert [chapter["tags"]["title"] for chapter in made.probed["chapters"]] == ["One", "Two"]
        assert {key.lower(): value for key, value in made.probed["format"]["tags"].items()}["title"] == "My film"


@pytest.mark.parametrize("fmt", ["mp4", "ts", "avi", "webm"])
@pytest.mark.parametrize("name", ["slides.mp4", "thousand.mp4"])
async def test_very_slow_and_very_fast(studio: Studio, clip: Clip, name: str, fmt: str) -> None:
    made = await studio.convert(clip(name), fmt, quality="fast")

    assert made.warnings == []
    if name == "slides.mp4":
        assert len(frames(made.path)) == 4


async def test_a_clock_that_jumps(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("jump.ts"))

    assert made.duration == pytest.approx(2, abs=0.2)
    assert len(frames(made.path)) == 20
    assert "truncated_input" not in made.warnings
    assert made.thumbnail is not None


async def test_damage_is_counted_and_told(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("damaged.mkv"), quality="fast")

    assert "damaged_input" in made.warnings


async def test_a_picture_that_changes_its_size(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("two-sizes.ts"))

    assert (made.video["width"], made.video["height"]) == (128, 72)
    assert len(frames(made.path)) == 20


async def test_transparency(studio: Studio, clip: Clip) -> None:
    for name in ("alpha.mov", "alpha.webm"):
        red, green, blue = pixel((await studio.convert(clip(name))).path, 0.5, 0.5)
        assert 110 < red < 145
        assert max(green, blue) < 20

    kept = await studio.convert(clip("alpha.mov"), "webm")
    assert kept.video["tags"]["alpha_mode"] == "1"
