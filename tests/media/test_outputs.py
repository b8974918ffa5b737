"""Every format and option, by what comes out: codecs, lengths, colours, loudness, sync."""

import re
import subprocess
from typing import Any

import anyio
import pytest
from PIL import Image

from services.common.errors import ErrorCode
from services.common.formats import FORMATS
from services.common.jobs import Stage
from services.transcoder.convert import Converter
from tests.media.conftest import Clip
from tests.media.studio import Studio, bright_from, difference, frame, frames, loud_from, pixel, probe

CODECS = {
    "mp4": ("h264", "aac"),
    "webm": ("vp9", "opus"),
    "mkv": ("h264", "aac"),
    "mov": ("h264", "aac"),
    "m4v": ("h264", "aac"),
    "avi": ("mpeg4", "mp3"),
    "ts": ("h264", "aac"),
    "mp3": (None, "mp3"),
    "m4a": (None, "aac"),
    "aac": (None, "aac"),
    "opus": (None, "opus"),
    "ogg": (None, "vorbis"),
    "flac": (None, "flac"),
    "wav": (None, "pcm_s16le"),
}


@pytest.mark.parametrize("fmt", list(CODECS))
@pytest.mark.parametrize("name", ["plain.mp4", "long.avi"])
async def test_formats(studio: Studio, clip: Clip, fmt: str, name: str) -> None:
    made = await studio.convert(clip(name), fmt, trim={"start_s": 0, "end_s": 1})
    video, audio = CODECS[fmt]

    found = {stream["codec_type"]: stream["codec_name"] for stream in made.probed["streams"]}
    assert found == {kind: codec for kind, codec in (("video", video), ("audio", audio)) if codec}
    assert made.duration == pytest.approx(1.0, abs=0.15)
    assert made.warnings == []
    main = made.conversion.outputs[0]
    assert (main.path.suffix, main.content_type) == (f".{fmt}", FORMATS[fmt].content_type)


async def test_gif(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("plain.mp4"), "gif")

    with Image.open(made.path) as image:
        assert (image.format, image.size, image.n_frames) == ("GIF", (128, 72), 10)
        assert image.info["loop"] == 0
        image.seek(5)
        shown = image.convert("RGB").resize((32, 18), Image.Resampling.BOX).tobytes()
    assert difference(shown, frame(clip("plain.mp4"), 0.5)) < 16


async def test_webp(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("plain.mp4"), "webp")

    with Image.open(made.path) as image:
        assert (image.format, image.size, image.n_frames) == ("WEBP", (128, 72), 10)
        image.seek(5)
        shown = image.convert("RGB").resize((32, 18), Image.Resampling.BOX).tobytes()
    assert difference(shown, frame(clip("plain.mp4"), 0.5)) < 16
    assert made.percents


async def test_moving_images_keep_transparency(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("alpha.mov"), "webp")

    with Image.open(made.path) as image:
        assert 110 < image.convert("RGBA").getpixel((30, 30))[3] < 145  # type: ignore[index]


async def test_plays_from_the_start(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("long.mkv"))
    data = made.path.read_bytes()

    assert data.index(b"moov") < data.index(b"mdat")


@pytest.mark.parametrize(
    ("fmt", "options"),
    [
        ("mp4", {"video": "hevc"}),
        ("mp4", {"video": "av1"}),
        ("webm", {"video": "av1", "bit_depth": 10}),
        ("mkv", {"video": "hevc", "bit_depth": 10}),
        ("mp4", {"video": "vp9", "quality": 50}),
        ("mov", {"video": "hevc", "quality": "fast"}),
        ("avi", {"video": "h264"}),
    ],
)
async def test_codecs(studio: Studio, clip: Clip, fmt: str, options: dict[str, Any]) -> None:
    made = await studio.convert(clip("plain.mp4"), fmt, **options)
    codec, pix_fmt = options["video"], "yuv420p10le" if "bit_depth" in options else "yuv420p"

    assert (made.video["codec_name"], made.video["pix_fmt"]) == (codec, pix_fmt)
    if codec == "hevc" and fmt != "mkv":
        assert made.video["codec_tag_string"] == "hvc1"
    assert difference(frame(clip("plain.mp4"), 0.5), frame(made.path, 0.5)) < 14


VIDEO_CHOICES = [(fmt.name, codec) for fmt in FORMATS.values() for codec in fmt.video if fmt.kind == "video"]
AUDIO_CHOICES = [(fmt.name, codec) for fmt in FORMATS.values() for codec in fmt.audio]


@pytest.mark.parametrize(("fmt", "codec"), [choice for choice in VIDEO_CHOICES if choice[1] != "mpeg4"])
async def test_every_video_codec_that_is_promised(studio: Studio, clip: Clip, fmt: str, codec: str) -> None:
    made = await studio.convert(clip("odd.mkv"), fmt, video=codec, quality="fast")

    assert made.video["codec_name"] == codec
    assert made.warnings == []


@pytest.mark.parametrize(("fmt", "codec"), AUDIO_CHOICES)
async def test_every_audio_codec_that_is_promised(studio: Studio, clip: Clip, fmt: str, codec: str) -> None:
    made = await studio.convert(clip("pcm.mov"), fmt, quality="fast", audio={"codec": codec})

    assert made.audio["codec_name"] == {"pcm": "pcm_s16le"}.get(codec, codec)
    assert made.warnings == []


async def test_copying_changes_no_packet(studio: Studio, clip: Clip) -> None:
    def packets(path: object) -> list[str]:
        command = ["ffmpeg", "-v", "error", "-i", str(path), "-map", "0", "-c", "copy", "-f", "streamhash", "-"]
        return subprocess.run(command, capture_output=True, check=True, text=True).stdout.split()

    for fmt in ("mp4", "mov", "mkv", "m4v"):
        made = await studio.convert(clip("long.mkv"), fmt)

        assert [made.fate(index).action for index in (0, 1)] == ["copy", "copy"]
        assert packets(made.path) == packets(clip("long.mkv"))
        assert made.thumbnail is not None


async def test_a_copy_that_starts_between_key_frames_shows_what_it_showed(studio: Studio, clip: Clip) -> None:
    """An edit list hides the frames before the cut; they must not come back."""
    made = await studio.convert(clip("cut-start.mp4"))

    assert made.duration == pytest.approx(float(probe(clip("cut-start.mp4"))["format"]["duration"]), abs=0.15)
    assert difference(frame(clip("cut-start.mp4")), frame(made.path)) < 12


async def test_edit_lists(studio: Studio, clip: Clip) -> None:
    """The first edit starts with the film, so no packet near the beginning tells of the others."""
    for options in ({}, {"quality": "fast"}):
        made = await studio.convert(clip("edits.mp4"), **options)

        assert made.duration == pytest.approx(4, abs=0.1)
        assert len(frames(made.path)) == 40
        assert made.warnings == []
        assert difference(frame(clip("long.mp4"), 1.0), frame(made.path, 1.0)) < 12
        assert difference(frame(clip("long.mp4"), 11.0), frame(made.path, 3.0)) < 12


async def test_size_and_rate(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("long.mp4"), max_height=90, fps=5, quality="fast")

    assert (made.video["width"], made.video["height"]) == (160, 90)
    assert made.video["avg_frame_rate"] == "5/1"
    assert made.duration == pytest.approx(20, abs=0.2)


async def test_a_piece(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("long.mp4"), trim={"start_s": 3.3, "end_s": 7.7})

    assert made.duration == pytest.approx(4.4, abs=0.11)
    for at in (0.0, 2.0, 4.2):
        assert difference(frame(clip("long.mp4"), 3.3 + at), frame(made.path, at)) < 12
    assert frames(made.path)[0] == pytest.approx(0, abs=0.11)


async def test_a_piece_behind_the_end(studio: Studio, clip: Clip) -> None:
    failure = await studio.failure(clip("plain.mp4"), trim={"start_s": 30})

    assert failure.code is ErrorCode.INVALID_OPTIONS
    assert "1.0 s long" in failure.message


@pytest.mark.parametrize(("fmt", "codec"), [("mp4", "h264"), ("mp4", "hevc"), ("webm", "vp9")])
async def test_a_size_to_aim_at(studio: Studio, clip: Clip, fmt: str, codec: str) -> None:
    made = await studio.convert(clip("long.mp4"), fmt, video=codec, two_pass={"target_size": 500_000})

    assert 250_000 < made.path.stat().st_size <= 500_000
    assert made.percents == sorted(made.percents)


async def test_without_picture_or_sound(studio: Studio, clip: Clip) -> None:
    sound = await studio.convert(clip("plain.mp4"), video="none")
    picture = await studio.convert(clip("plain.mp4"), audio="none")

    assert [stream["codec_type"] for stream in sound.probed["streams"]] == ["audio"]
    assert [stream["codec_type"] for stream in picture.probed["streams"]] == ["video"]


async def test_stripped(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("rich.mkv"), metadata="strip")

    assert not {"title", "location"} & {key.lower() for key in made.probed["format"]["tags"]}
    assert made.probed["chapters"] == []
    assert [track["tags"]["language"] for track in made.streams("audio")] == ["eng", "fra"]


@pytest.mark.parametrize("name", ["srt.mkv", "ass.mkv", "pictures.mkv"])
async def test_subtitles_drawn_into_the_picture(studio: Studio, clip: Clip, name: str) -> None:
    plain = await studio.convert(clip(name), quality="fast", subtitles="drop")
    burnt = await studio.convert(clip(name), quality="fast", subtitles="burn")

    def bottom(data: bytes) -> bytes:
        return data[-128 * 3 * 24 :]

    before, after = (frame(made.path, 0.5, (128, 72)) for made in (plain, burnt))
    assert difference(bottom(before), bottom(after)) > 1
    assert difference(before[: 128 * 3 * 40], after[: 128 * 3 * 40]) < 1
    assert not burnt.streams("subtitle")


async def test_drawn_subtitles_come_at_their_time_in_a_piece(studio: Studio, clip: Clip) -> None:
    """They end at 0.9 s of the film, so at 0.3 s of a piece that begins at 0.6."""
    piece = {"start_s": 0.6, "end_s": 1.0}
    plain = await studio.convert(clip("srt.mkv"), quality=1, subtitles="drop", trim=piece)
    burnt = await studio.convert(clip("srt.mkv"), quality=1, subtitles="burn", trim=piece)

    changed = [
        difference(frame(plain.path, at, (128, 72)), frame(burnt.path, at, (128, 72))) > 0.3 for at in (0.1, 0.3)
    ]
    assert changed == [True, False]


@pytest.mark.parametrize("name", ["red.mkv", "rgb.mkv", "full-range.avi"])
@pytest.mark.parametrize("fmt", ["mp4", "webm"])
async def test_colours(studio: Studio, clip: Clip, name: str, fmt: str) -> None:
    made = await studio.convert(clip(name), fmt, quality=10)

    assert made.video["pix_fmt"] == "yuv420p"
    assert made.video.get("color_range", "tv") == "tv"
    assert difference(frame(clip(name)), frame(made.path)) < 9
    if name == "red.mkv":
        assert made.video["color_space"] == "bt709"
        red, green, blue = pixel(made.path, 0.5, 0.5)
        assert red > 245
        assert max(green, blue) < 12


async def test_thumbnail(studio: Studio, clip: Clip) -> None:
    for name, options, at in (("long.mp4", {}, 2.0), ("long.mp4", {"quality": "fast"}, 2.0), ("hour.mkv", {}, 10.0)):
        made = await studio.convert(clip(name), **options)
        assert made.thumbnail is not None

        with Image.open(made.thumbnail) as image:
            assert (image.format, max(image.size)) == ("JPEG", 320 if name == "long.mp4" else 128)
            shown = image.convert("RGB").resize((32, 18), Image.Resampling.BOX).tobytes()
        assert difference(shown, frame(clip(name), at)) < 12


@pytest.mark.parametrize("fmt", ["mp4", "mkv", "webm", "avi", "ts"])
async def test_sound_that_begins_late_stays_late(studio: Studio, clip: Clip, fmt: str) -> None:
    made = await studio.convert(clip("late-sound.mkv"), fmt)

    assert loud_from(made.path) == pytest.approx(0.6, abs=0.08)


async def test_a_picture_that_begins_late_stays_late(studio: Studio, clip: Clip) -> None:
    for options in ({}, {"quality": "fast"}):
        made = await studio.convert(clip("late-picture.mkv"), **options)
        first = frames(made.path)[0] - float(made.audio["start_time"])

        assert first == pytest.approx(0.6, abs=0.08)


@pytest.mark.parametrize("name", ["flash.mp4", "flash.avi", "flash.ts"])
@pytest.mark.parametrize("fmt", ["mp4", "webm", "avi", "ts"])
async def test_picture_and_sound_stay_together(studio: Studio, clip: Clip, name: str, fmt: str) -> None:
    for options in ({"quality": "fast"}, {"quality": "fast", "trim": {"start_s": 0.4}}):
        made = await studio.convert(clip(name), fmt, **options)

        assert bright_from(made.path) - loud_from(made.path) == pytest.approx(0, abs=0.09)


async def test_a_gap_in_the_sound_is_silence(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("sound-gap.mkv"), "mp4")

    assert float(made.audio["duration"]) == pytest.approx(3, abs=0.1)
    assert loud_from(made.path) == pytest.approx(2.5, abs=0.1)


@pytest.mark.parametrize("fmt", ["mp3", "m4a", "opus", "ogg", "wav", "flac", "aac"])
@pytest.mark.parametrize("name", ["flac.flac", "8k.wav", "many.wav"])
async def test_rates_and_layouts(studio: Studio, clip: Clip, fmt: str, name: str) -> None:
    made = await studio.convert(clip(name), fmt)

    # A frame of mp3 at 8 kHz is 0.14 s long, and the coder needs one more than it got.
    assert made.duration == pytest.approx(float(probe(clip(name))["format"]["duration"]), abs=0.3)
    if name == "many.wav":
        assert made.audio["channels"] == {"mp3": 2, "m4a": 6, "aac": 6}.get(fmt, 8)


async def test_deep_sound_stays_deep(studio: Studio, clip: Clip) -> None:
    wav = await studio.convert(clip("flac.flac"), "wav")

    assert (wav.audio["codec_name"], wav.audio["sample_rate"]) == ("pcm_s24le", "96000")


async def test_loudness(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("quiet.wav"), "m4a", audio={"normalize": True})

    command = ["ffmpeg", "-nostats", "-i", str(made.path), "-af", "ebur128", "-f", "null", "-"]
    said = (await anyio.run_process(command)).stderr
    assert float(re.findall(rb"I:\s+(-?[\d.]+) LUFS", said)[-1]) == pytest.approx(-16, abs=1)
    assert made.percents == sorted(made.percents)


async def test_silence_has_no_loudness(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("silence.wav"), "mp3", audio={"normalize": True})

    assert "silent" in made.fate(0).reason


async def test_bitrate_and_channels(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("side51.mov"), audio={"codec": "aac", "bitrate_kbps": 64, "channels": 2})

    assert (made.audio["channels"], made.audio["channel_layout"]) == (2, "stereo")
    assert int(made.audio["bit_rate"]) < 100_000


async def test_stages_and_percent(studio: Studio, clip: Clip) -> None:
    made = await studio.convert(clip("long.mp4"), quality="fast")
    stages = [stage for stage, _ in made.progress]

    assert stages[0] is Stage.PROBING
    assert set(stages[1:]) == {Stage.TRANSCODING}
    assert made.percents == sorted(made.percents)
    assert made.percents[-1] >= 90
    assert max(made.percents) <= 99.9
    assert made.conversion.plan.duration_s == 20.0


async def test_preview_runs_nothing(studio: Studio, clip: Clip) -> None:
    directory = studio.directory()
    source = directory / "input"
    source.write_bytes(clip("long.mp4").read_bytes())

    seen = await Converter(studio.tools, studio.able).preview(source, "webm", {"max_height": 90})

    assert [stream.action for stream in seen.plan.streams] == ["encode", "encode"]
    assert seen.estimate.size is not None
    assert seen.estimate.seconds is not None
    assert [path.name for path in directory.iterdir()] == ["input"]
