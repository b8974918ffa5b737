"""What plans decide, and what they say of it."""

from dataclasses import replace
from fractions import Fraction
from typing import Any

import pytest

from services.common.errors import ErrorCode, JobFailure
from services.common.options import parse_options
from services.transcoder.convert import preview
from services.transcoder.diagnose import Expected
from services.transcoder.media import AudioStream, MediaInfo, OtherStream, SubtitleStream, VideoStream
from services.transcoder.plan import Capabilities, make_plan
from services.transcoder.plan.model import Loudness
from tests.unit.transcoder.samples import (
    ABLE,
    AUDIO,
    MKV,
    PICTURES,
    TEXT,
    VIDEO,
    argv,
    fate,
    film,
    filters,
    option,
    plan,
)


def test_what_is_right_is_copied() -> None:
    made = plan(MKV)

    assert fate(made, 0) == ("copy", "h264", "already right for this format")
    assert fate(made, 1) == ("copy", "aac", "already right for this format")


@pytest.mark.parametrize(
    ("picture", "options", "reason"),
    [
        ({"codec": "hevc"}, {}, "players of mp4 expect h264, not hevc"),
        ({"pix_fmt": "yuv444p"}, {}, "yuv444p does not play everywhere"),
        ({"pix_fmt": "yuv420p10le"}, {}, "yuv420p10le does not play everywhere"),
        ({"profile": "High 4:4:4 Predictive"}, {}, "profile High 4:4:4 Predictive does not play everywhere"),
        ({"level": 62}, {}, "level 62 does not play everywhere"),
        ({"rotation": 90}, {}, "it has to be turned upright; 1080x1920 becomes 1080x1920"),
        ({"mirrored": True}, {}, "it has to be turned upright"),
        ({"interlaced": "tff", "flagged": True}, {}, "it is interlaced"),
        ({"color_transfer": "smpte2084"}, {}, "it has high dynamic range; HDR10 (PQ) tone-mapped to BT.709"),
        ({"edited": True}, {}, "an edit list hides frames of it"),
        ({"container": "mpegts"}, {}, "time stamps of mpegts have to be put right"),
        ({}, {"video": "hevc"}, "hevc was asked for"),
        ({}, {"quality": 20}, "a quality or size was asked for"),
        ({}, {"two_pass": {"bitrate_kbps": 900}}, "a quality or size was asked for"),
        ({}, {"fps": 12}, "12 frames a second were asked for"),
        ({}, {"max_width": 640}, "the size changes; 1920x1080 becomes 640x360"),
        ({}, {"trim": {"start_s": 1}}, "a cut that is exact needs new frames"),
        ({}, {"trim": {"end_s": 9}}, "a cut that is exact needs new frames"),
    ],
)
def test_why_a_picture_is_encoded(picture: dict[str, Any], options: dict[str, Any], reason: str) -> None:
    action, _, said = fate(plan(film(**picture), "mp4", **options))

    assert action == "encode"
    assert said == reason.replace("; 1080x1920 becomes 1080x1920", "")


def test_wishes_that_change_nothing_do_not_encode() -> None:
    assert fate(plan(MKV, video="h264", max_height=1080, fps=25, audio={"codec": "aac", "channels": 2}))[0] == "copy"


@pytest.mark.parametrize(
    ("fmt", "codec", "audio", "actions"),
    [
        ("mkv", "hevc", "flac", ("copy", "copy")),
        ("webm", "vp9", "opus", ("copy", "copy")),
        ("webm", "vp8", "vorbis", ("copy", "copy")),
        ("mp4", "vp9", "opus", ("encode", "encode")),
        ("mov", "h264", "aac", ("copy", "copy")),
        ("ts", "h264", "ac3", ("copy", "copy")),
        ("avi", "h264", "mp3", ("encode", "copy")),
    ],
)
def test_what_each_container_copies(fmt: str, codec: str, audio: str, actions: tuple[str, str]) -> None:
    made = plan(film(codec=codec, audio=(replace(AUDIO, codec=audio),)), fmt)

    assert (fate(made, 0)[0], fate(made, 1)[0]) == actions


def test_copy_when_asked_for_is_copied_whatever_players_say() -> None:
    made = plan(film(codec="hevc", pix_fmt="yuv420p10le", color_transfer="smpte2084"), video="copy")

    assert fate(made) == ("copy", "hevc", "copy was asked for")
    assert "-tag:v:0 hvc1" in " ".join(argv(made))


@pytest.mark.parametrize(
    ("info", "fmt", "options", "code"),
    [
        (replace(MKV, video=()), "mp4", {}, ErrorCode.NO_VIDEO),
        (replace(MKV, video=(replace(VIDEO, cover=True),)), "mp4", {}, ErrorCode.NO_VIDEO),
        (replace(MKV, video=()), "gif", {}, ErrorCode.NO_VIDEO),
        (replace(MKV, audio=()), "mp3", {}, ErrorCode.NO_AUDIO),
        (replace(MKV, audio=()), "mp4", {"video": "none"}, ErrorCode.NO_AUDIO),
        (film(codec=None), "mp4", {}, ErrorCode.UNSUPPORTED),
        (film(width=0), "mp4", {}, ErrorCode.CORRUPT_INPUT),
        (film(codec="prores"), "webm", {"video": "copy"}, ErrorCode.INVALID_OPTIONS),
        (film(audio=(replace(AUDIO, codec="ac3"),)), "webm", {"audio": {"codec": "copy"}}, ErrorCode.INVALID_OPTIONS),
        (MKV, "mp4", {"subtitles": "burn"}, ErrorCode.INVALID_OPTIONS),
        (MKV, "mp4", {"trim": {"start_s": 60}}, ErrorCode.INVALID_OPTIONS),
        (MKV, "mp4", {"two_pass": {"target_size": "50KB"}}, ErrorCode.INVALID_OPTIONS),
        (replace(MKV, duration_s=None), "mp4", {"two_pass": {"target_size": "9MB"}}, ErrorCode.INVALID_OPTIONS),
        (film(width=8, height=8), "mp4", {"video": "hevc"}, ErrorCode.INVALID_OPTIONS),
        (MKV, "mp4", {"video": "vp9", "quality": 63, "max_height": 4, "fps": 1}, None),
        (MKV, "webm", {"video": "h264"}, ErrorCode.INVALID_OPTIONS),
        (MKV, "exe", {}, ErrorCode.UNSUPPORTED),
    ],
)
def test_what_cannot_be(info: MediaInfo, fmt: str, options: dict[str, Any], code: ErrorCode | None) -> None:
    if code is None:
        with pytest.raises(ValueError, match="max_height"):
            plan(info, fmt, **options)
        return
    with pytest.raises(JobFailure) as failure:
        plan(info, fmt, **options)

    assert failure.value.code is code
    assert not failure.value.transient


def test_streams_are_chosen_by_type_not_by_place() -> None:
    info = MediaInfo(
        formats=("mov",),
        duration_s=1.0,
        audio=(replace(AUDIO, index=0),),
        video=(replace(VIDEO, index=2), replace(VIDEO, index=1, cover=True, codec="png")),
        others=(OtherStream(index=3, codec="tmcd"),),
    )
    made = plan(info)

    assert [stream.action for stream in made.summary.streams] == ["copy", "drop", "copy", "drop"]
    assert " ".join(argv(made)).startswith("-map 0:2 -c:v:0 copy -map 0:0 -c:a:0 copy ")


def test_of_several_pictures_the_default_one_is_taken() -> None:
    small = replace(VIDEO, index=3, width=640, height=360)
    made = plan(replace(MKV, video=(replace(VIDEO, default=False), small)))

    assert "-map 0:3" in " ".join(argv(made))
    assert [warning.code for warning in made.warnings] == ["video_dropped"]


def test_one_track_formats_take_the_default_track() -> None:
    tracks = (replace(AUDIO, default=False), replace(AUDIO, index=2, default=True))
    made = plan(replace(MKV, audio=tracks), "m4a")

    assert fate(made, 2)[0] == "copy"
    assert fate(made, 1) == ("drop", None, "m4a holds one track, and another is the default")


def test_tracks_of_unknown_codec_are_dropped_with_a_warning() -> None:
    made = plan(replace(MKV, audio=(replace(AUDIO, codec=None), replace(AUDIO, index=2))))

    assert fate(made, 1)[:2] == ("drop", None)
    assert [warning.code for warning in made.warnings] == ["audio_dropped"]


def test_subtitles_by_container() -> None:
    text, pictures = replace(MKV, subtitles=(TEXT,)), replace(MKV, subtitles=(PICTURES,))

    assert fate(plan(text, "mp4"), 2)[:2] == ("encode", "mov_text")
    assert fate(plan(text, "webm"), 2)[:2] == ("encode", "webvtt")
    assert fate(plan(text, "mkv"), 2)[:2] == ("copy", "subrip")
    assert fate(plan(pictures, "mkv"), 2)[:2] == ("copy", "hdmv_pgs_subtitle")
    assert fate(plan(pictures, "mp4"), 2)[:2] == ("drop", None)
    for info, fmt in ((pictures, "mp4"), (text, "avi"), (text, "gif")):
        assert [warning.code for warning in plan(info, fmt).warnings] == ["subtitles_dropped"]
    for quiet in (plan(pictures, "mp4", subtitles="drop"), plan(text, "mp3"), plan(text, subtitles="burn")):
        assert not quiet.warnings


def test_the_default_subtitles_are_burnt() -> None:
    other = replace(TEXT, index=3, default=True)
    made = plan(replace(MKV, subtitles=(TEXT, other)), subtitles="burn")

    assert "subtitles=filename=input:stream_index=1" in filters(made)


def test_interlaced_frames_that_do_not_say_so_are_all_treated() -> None:
    assert filters(plan(film(interlaced="bff"))).startswith("bwdif=mode=send_frame:parity=bff:deint=all,")
    assert filters(plan(film(interlaced="bff", flagged=True))).startswith(
        "bwdif=mode=send_frame:parity=auto:deint=interlaced,"
    )


def test_high_dynamic_range_is_mapped_and_tagged() -> None:
    info = film(
        codec="hevc",
        pix_fmt="yuv420p10le",
        color_transfer="arib-std-b67",
        color_primaries="bt2020",
        color_space="bt2020nc",
    )
    made = plan(info, max_height=720)

    assert filters(made) == (
        "scale=1280:720,setsar=1,zscale=tin=arib-std-b67:min=bt2020nc:pin=bt2020:rin=tv:t=linear:npl=150,"
        "format=gbrpf32le,zscale=p=bt709,tonemap=tonemap=mobius:desat=0,zscale=t=bt709:m=bt709:r=tv,format=yuv420p"
    )
    assert "-colorspace bt709 -color_primaries bt709 -color_trc bt709 -color_range tv" in " ".join(argv(made))


def test_high_dynamic_range_without_the_filters_is_refused() -> None:
    with pytest.raises(JobFailure) as failure:
        plan(film(color_transfer="smpte2084"), "mp4", Capabilities(ABLE.encoders))

    assert failure.value.code is ErrorCode.UNSUPPORTED


def test_ranges_and_matrices() -> None:
    full = film(codec="mjpeg", pix_fmt="yuvj420p", color_range="pc")
    rgb = film(codec="png", pix_fmt="rgb24")

    assert filters(plan(full)) == "scale=in_range=pc:out_range=tv,format=yuv420p"
    assert filters(plan(rgb)) == "scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
    assert option(plan(rgb), "-colorspace") == "bt709"


def test_transparency_is_kept_where_it_can_be_and_shown_on_black_elsewhere() -> None:
    png = film(codec="png", pix_fmt="rgba")
    webm = film(codec="vp9", pix_fmt="yuv420p", alpha_tagged=True, container="matroska")

    assert filters(plan(png)) == (
        "format=gbrap,premultiply=inplace=1,format=gbrp,scale=out_color_matrix=bt709:out_range=tv,format=yuv420p"
    )
    assert filters(plan(png, "webm")).endswith("format=yuva420p")
    assert fate(plan(webm, "webm"))[0] == "copy"
    assert "-c:v libvpx-vp9 -i file:input" in " ".join(plan(webm).passes[0].argv)


@pytest.mark.parametrize(
    ("track", "fmt", "channels", "rate"),
    [
        (AudioStream(1, "pcm_s16le", channels=6, layout="5.1(side)", sample_rate=44100), "webm", "5.1", 48000),
        (AudioStream(1, "pcm_s16le", channels=8, layout="7.1", sample_rate=192000), "mp4", "5.1", 48000),
        (AudioStream(1, "pcm_s16le", channels=8, layout="7.1(wide)", sample_rate=48000), "webm", "7.1", 48000),
        (AudioStream(1, "pcm_s16le", channels=6, layout="5.1", sample_rate=22050), "mp3", "stereo", 22050),
        (AudioStream(1, "pcm_s16le", channels=3, layout="2.1", sample_rate=7000), "mp3", "stereo", 8000),
        (AudioStream(1, "pcm_s16le", channels=16, sample_rate=48000), "flac", "7.1", 48000),
        (AudioStream(1, "pcm_s16le", channels=1, sample_rate=11025), "opus", "mono", 48000),
        (AudioStream(1, "pcm_s16le", channels=4, layout="4.0", sample_rate=44100), "mp4", "4.0", 44100),
        (AudioStream(1, "pcm_s16le", channels=2, sample_rate=96000), "wav", "stereo", 96000),
    ],
)
def test_layouts_and_rates_that_the_codec_has(track: AudioStream, fmt: str, channels: str, rate: int) -> None:
    made = plan(film(audio=(replace(track, codec="pcm_u8"),)), fmt)

    assert filters(made, "a:0").endswith(f"aformat=sample_rates={rate}:channel_layouts={channels}")


def test_bitrates_stay_within_what_the_codec_takes() -> None:
    mono = (replace(AUDIO, channels=1, layout="mono"),)

    assert option(plan(film(audio=mono), "opus", audio={"bitrate_kbps": 512}), "-b:a:0") == "256k"
    assert option(plan(film(audio=mono), "mp3", audio={"bitrate_kbps": 512}), "-b:a:0") == "320k"


def test_loudness_that_was_measured_is_used() -> None:
    measured = Loudness("-21.78", "-12.08", "0.10", "-31.78", "-0.00")
    made = make_plan(MKV, "mp4", parse_options({"audio": {"normalize": True}}), able=ABLE, loudness={1: measured})

    assert filters(made, "a:0") == (
        "aresample=async=1:first_pts=0,loudnorm=I=-16:TP=-1.5:LRA=11:linear=true:measured_I=-21.78:measured_TP=-12.08"
        ":measured_LRA=0.10:measured_thresh=-31.78:offset=-0.00,aformat=sample_rates=48000:channel_layouts=stereo"
    )
    silent = make_plan(MKV, "mp4", parse_options({"audio": {"normalize": True}}), able=ABLE, loudness={})
    assert "silent, so its loudness was left" in fate(silent, 1)[2]


@pytest.mark.parametrize(("options", "told"), [({}, False), ({"audio": {"normalize": True}}, True)])
def test_a_preview_evens_loudness_out_only_where_that_is_asked(options: dict[str, Any], told: bool) -> None:
    seen = preview(MKV, "webm", parse_options(options), ABLE)

    assert ("-16 LUFS" in seen.plan.streams[1].reason) is told


def test_long_pauses_are_not_filled_with_frames() -> None:
    gappy = film(frames=10, duration_s=3601.0, frame_rate=Fraction(10))

    assert filters(plan(gappy, fps=30)).startswith("select=")
    assert filters(plan(film(frames=1500, duration_s=60.0), fps=30)).startswith("fps=30,")


def test_frame_rates_that_were_only_guessed_are_not_believed() -> None:
    made = plan(film(frame_rate=Fraction(90000), average_rate=Fraction(24), codec="mpeg4"), "avi", quality=20)

    assert option(made, "-enc_time_base") == "1/24"


def test_what_is_expected() -> None:
    info = film(duration_s=60.0, frames=1500, audio=(replace(AUDIO, duration_s=59.0),))
    slack_s = 2 / 25

    assert plan(info).expected == Expected(60.0, promised=True, frames=1500, slack_s=slack_s)
    assert plan(info, "mp3").expected == Expected(59.0, promised=True)
    assert plan(info, trim={"start_s": 10, "end_s": 20}).expected == Expected(10.0, promised=True, slack_s=slack_s)
    assert plan(info, trim={"start_s": 10, "end_s": 200}).expected == Expected(50.0, promised=True, slack_s=slack_s)
    assert plan(info, trim={"start_s": 10}).expected == Expected(50.0, slack_s=slack_s)
    assert plan(replace(MKV, duration_s=None)).expected == Expected(None, guessed=True, slack_s=slack_s)
    assert plan(film(container="mpegts")).expected == Expected(60.0, guessed=True, slack_s=slack_s)
    # Subtitles may go on after the film: a container's length then promises nothing of the film's.
    assert plan(replace(MKV, subtitles=(TEXT,))).expected == Expected(60.0, slack_s=slack_s)


def test_offsets_count_into_the_length() -> None:
    late = replace(AUDIO, start_s=2.0, duration_s=10.0)
    assert plan(film(duration_s=11.0, start_s=0.0, audio=(late,))).expected.duration_s == 12.0


def test_fonts_go_with_their_subtitles() -> None:
    font = OtherStream(index=3, codec="ttf", kind="attachment", mimetype="application/x-truetype-font")
    note = OtherStream(index=4, codec="txt", kind="attachment", mimetype="text/plain")
    info = replace(MKV, subtitles=(SubtitleStream(2, "ass", text=True),), others=(font, note))

    made = plan(info, "mkv")

    assert [fate(made, index)[0] for index in (3, 4)] == ["copy", "drop"]
    assert "-map 0:3 -c:t:0 copy" in " ".join(argv(made))


def test_cover_art_stays_with_sound() -> None:
    cover = VideoStream(index=2, codec="mjpeg", width=600, height=600, cover=True)
    info = replace(MKV, video=(cover,))

    assert "-map 0:2 -c:v:0 copy -disposition:v:0 attached_pic" in " ".join(argv(plan(info, "m4a")))
    assert "0:2" not in argv(plan(info, "ogg"))
    assert "0:2" not in argv(plan(info, "m4a", metadata="strip"))


def test_small_pictures_in_av1_take_the_encoder_that_can() -> None:
    assert option(plan(film(width=32, height=32), video="av1"), "-c:v:0") == "libaom-av1"


def test_estimates() -> None:
    copied, encoded = plan(MKV).estimate, plan(MKV, video="hevc").estimate

    assert copied.size == pytest.approx(MKV.size, rel=0.05)
    assert copied.seconds is not None
    assert encoded.seconds is not None
    assert copied.seconds < encoded.seconds
    aimed = plan(MKV, two_pass={"target_size": "20MB"}).estimate.size
    assert aimed == pytest.approx(20e6, rel=0.1)
    assert plan(replace(MKV, duration_s=None)).estimate.size is None
