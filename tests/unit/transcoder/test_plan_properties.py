"""Whatever a file holds and a job asks for, there is a plan that ffmpeg can run, or a failure that says why."""

from fractions import Fraction

from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.common.errors import JobFailure
from services.common.formats import FORMAT_NAMES, FORMATS
from services.common.options import AudioOptions, Options, Trim, TwoPass, check
from services.transcoder.media import AudioStream, MediaInfo, OtherStream, SubtitleStream, VideoStream
from services.transcoder.plan import Capabilities, TranscodePlan, make_plan

maybe = st.one_of
rates = maybe(st.none(), st.fractions(min_value=Fraction(1, 1000), max_value=90000, max_denominator=1001))
lengths = maybe(st.none(), st.floats(0.001, 1e7))
codecs = st.sampled_from([None, "h264", "hevc", "vp9", "av1", "mpeg4", "prores", "png", "gif", "ffv1"])
pixels = st.sampled_from(
    [None, "yuv420p", "yuvj420p", "yuv420p10le", "yuv444p12le", "rgba", "pal8", "gray", "gbrp16le"]
)
transfers = st.sampled_from([None, "bt709", "smpte2084", "arib-std-b67"])


@st.composite
def files(draw: st.DrawFn) -> MediaInfo:
    kinds = draw(st.lists(st.sampled_from("vasdt"), max_size=6))
    streams = list(enumerate(kinds))
    return MediaInfo(
        formats=draw(st.sampled_from([("mov", "mp4"), ("matroska", "webm"), ("avi",), ("mpegts",), ("flac",), ("",)])),
        duration_s=draw(lengths),
        size=draw(st.integers(0, 1 << 40)),
        video=tuple(_video(draw, index) for index, kind in streams if kind == "v"),
        audio=tuple(_audio(draw, index) for index, kind in streams if kind == "a"),
        subtitles=tuple(
            SubtitleStream(
                index, draw(st.sampled_from(["subrip", "hdmv_pgs_subtitle", None])), text=draw(st.booleans())
            )
            for index, kind in streams
            if kind == "s"
        ),
        others=tuple(
            OtherStream(
                index, kind="data" if kind == "d" else "attachment", mimetype=draw(st.sampled_from([None, "font/ttf"]))
            )
            for index, kind in streams
            if kind in "dt"
        ),
    )


def _video(draw: st.DrawFn, index: int) -> VideoStream:
    return VideoStream(
        index,
        draw(codecs),
        default=draw(st.booleans()),
        duration_s=draw(lengths),
        width=draw(st.integers(0, 8192)),
        height=draw(st.integers(0, 4320)),
        sar=draw(st.fractions(min_value=Fraction(1, 100), max_value=100, max_denominator=100)),
        pix_fmt=draw(pixels),
        rotation=draw(st.sampled_from([0, 90, 180, 270])),
        interlaced=draw(st.sampled_from([None, "tff", "bff"])),
        frame_rate=draw(rates),
        average_rate=draw(rates),
        frames=draw(maybe(st.none(), st.integers(1, 10**6))),
        color_transfer=draw(transfers),
        cover=draw(st.booleans()),
    )


def _audio(draw: st.DrawFn, index: int) -> AudioStream:
    return AudioStream(
        index,
        draw(st.sampled_from([None, "aac", "mp3", "opus", "pcm_s24le", "ac3"])),
        duration_s=draw(lengths),
        channels=draw(st.integers(0, 64)),
        layout=draw(st.sampled_from([None, "stereo", "5.1(side)", "22.2"])),
        sample_rate=draw(st.integers(0, 768_000)),
    )


wishes = st.builds(
    dict,
    video=st.sampled_from([None, "h264", "hevc", "av1", "vp9", "copy", "none"]),
    quality=maybe(st.sampled_from(["fast", "balanced", "best"]), st.integers(0, 63)),
    bit_depth=st.sampled_from([8, 10]),
    max_height=maybe(st.none(), st.integers(16, 8192)),
    fps=maybe(st.none(), st.floats(1, 240)),
    trim=maybe(st.none(), st.builds(Trim, start_s=st.floats(0, 100), end_s=st.none())),
    audio=maybe(
        st.just("none"),
        st.builds(
            AudioOptions,
            codec=st.sampled_from([None, "aac", "opus", "flac", "copy"]),
            channels=maybe(st.none(), st.integers(1, 8)),
            normalize=st.booleans(),
        ),
    ),
    subtitles=st.sampled_from(["keep", "drop", "burn"]),
    two_pass=maybe(st.none(), st.builds(TwoPass, bitrate_kbps=st.integers(10, 200_000))),
    metadata=st.sampled_from(["keep", "strip"]),
)
ables = st.builds(
    Capabilities,
    encoders=st.sampled_from([frozenset(), frozenset({"libsvtav1", "libaom-av1"})]),
    filters=st.sampled_from([frozenset(), frozenset({"zscale", "tonemap"})]),
    hardware=st.sampled_from([None, "nvenc", "qsv", "vaapi"]),
    hardware_codecs=st.just(frozenset({"h264"})),
    threads=maybe(st.none(), st.integers(1, 64)),
)


@settings(max_examples=200)
@given(files(), st.sampled_from(FORMAT_NAMES), wishes, ables)
def test_a_plan_or_a_reason(info: MediaInfo, fmt: str, wish: dict[str, object], able: Capabilities) -> None:
    try:
        options = Options(**wish)  # type: ignore[arg-type]
    except ValidationError:
        return
    outcome = _outcome(info, fmt, options, able)
    if isinstance(outcome, JobFailure):
        assert outcome.message.endswith(".")
        assert not outcome.transient
    else:
        assert not check(fmt, options)
        _is_runnable(outcome, info, fmt)


def _outcome(info: MediaInfo, fmt: str, options: Options, able: Capabilities) -> TranscodePlan | JobFailure:
    try:
        return make_plan(info, fmt, options, able=able, loudness={})
    except JobFailure as failure:
        return failure


def _is_runnable(made: TranscodePlan, info: MediaInfo, fmt: str) -> None:
    last = made.passes[-1].argv
    for one in made.passes:
        assert one.argv[0] == "ffmpeg"
        assert "-nostdin" in one.argv
        assert all(word and "\n" not in word and "None" not in word for word in one.argv)
        assert one.argv.count("-i") == one.argv.count("-protocol_whitelist")
    assert f"file:{made.output}" in last
    assert made.output == f"output.{FORMATS[fmt].extension}"
    # The fate of every stream is told once, and what is kept is mapped.
    told = [stream.stream for stream in made.summary.streams]
    everything = (*info.video, *info.audio, *info.subtitles, *info.others)
    assert sorted(told) == sorted(stream.index for stream in everything)
    kept = [stream for stream in made.summary.streams if stream.action != "drop"]
    assert kept
    text = " ".join(last)
    for stream in kept:
        assert f"0:{stream.stream}" in text
    video = [stream for stream in kept if stream.type == "video"]
    assert len(video) <= 1
