"""Commands for encoders in hardware that need not be here."""

from dataclasses import replace

import pytest

from services.transcoder.hwaccel import trial_command
from services.transcoder.plan.model import Hardware
from tests.unit.transcoder.samples import ABLE, argv, film, plan

CODECS = frozenset({"h264", "hevc", "av1", "vp9"})
AVI = film(container="avi")
ENCODERS = {
    ("nvenc", "h264"): "-filter:v:0 format=yuv420p -c:v:0 h264_nvenc -preset p4 -rc vbr -cq 23 -b:v 0 -fps_mode",
    ("nvenc", "hevc"): "-filter:v:0 format=yuv420p -c:v:0 hevc_nvenc -preset p4 -rc vbr -cq 23 -b:v 0 -tag:v:0 hvc1",
    ("qsv", "h264"): "-filter:v:0 format=nv12 -c:v:0 h264_qsv -preset medium -global_quality 23 -fps_mode",
    ("vaapi", "av1"): "-filter:v:0 format=nv12,hwupload -c:v:0 av1_vaapi -rc_mode CQP -qp 23 -fps_mode",
}


@pytest.mark.parametrize(("kind", "codec"), list(ENCODERS))
def test_encoder(kind: Hardware, codec: str) -> None:
    able = replace(ABLE, hardware=kind, hardware_codecs=CODECS)

    made = plan(AVI, "mp4", able, video=codec)

    assert made.hardware
    assert ENCODERS[kind, codec] in " ".join(argv(made))


@pytest.mark.parametrize(
    ("kind", "device"),
    [
        ("nvenc", ""),
        ("qsv", "-init_hw_device qsv=gpu -filter_hw_device gpu "),
        ("vaapi", "-vaapi_device /dev/dri/renderD128 "),
    ],
)
def test_device_is_opened_before_the_input(kind: Hardware, device: str) -> None:
    able = replace(ABLE, hardware=kind, hardware_codecs=CODECS)

    words = " ".join(plan(AVI, "mp4", able).passes[0].argv)

    assert f" -y {device}-protocol_whitelist file" in words


@pytest.mark.parametrize(
    "options", [{"two_pass": {"bitrate_kbps": 500}}, {"video": "hevc", "bit_depth": 10}], ids=["rate", "depth"]
)
def test_the_processor_does_what_hardware_does_differently(options: dict[str, object]) -> None:
    able = replace(ABLE, hardware="nvenc", hardware_codecs=CODECS)

    assert not plan(AVI, "mp4", able, **options).hardware


def test_a_codec_that_the_hardware_lacks_is_encoded_by_the_processor() -> None:
    able = replace(ABLE, hardware="nvenc", hardware_codecs=frozenset({"h264"}))

    made = plan(AVI, "webm", able)

    assert not made.hardware
    assert "libvpx-vp9" in argv(made)


def test_trial() -> None:
    assert " ".join(trial_command("vaapi", "h264")) == (
        "ffmpeg -hide_banner -nostdin -loglevel error -vaapi_device /dev/dri/renderD128 "
        "-f lavfi -i color=size=256x144:rate=10:duration=1 "
        "-vf format=nv12,hwupload -c:v h264_vaapi -rc_mode CQP -qp 24 -f null -"
    )
