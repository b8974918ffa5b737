"""Files made to read, reach or exhaust what they should not: refused, with nothing read and nobody called."""

import socket
import struct
import subprocess
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from services.common.errors import ErrorCode, JobFailure
from services.transcoder.sandbox import Limits, Sandbox, environment
from tests.media.conftest import Clip
from tests.media.studio import Studio

SECRET = "the neighbour's secret"


class Canary:
    """A listener that hopes never to hear from anybody."""

    def __init__(self) -> None:
        self._socket = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._socket.getsockname()[1]
        self.heard = threading.Event()
        threading.Thread(target=self._listen, daemon=True).start()

    def _listen(self) -> None:
        with closing(self._socket):
            try:
                self._socket.accept()
            except OSError:
                return
            self.heard.set()

    def close(self) -> None:
        self._socket.close()


@pytest.fixture
def canary() -> Iterator[Canary]:
    with closing(Canary()) as listening:
        yield listening


@pytest.fixture
def neighbour(studio: Studio, clip: Clip) -> Path:
    """Another job's film, in a directory beside ours."""
    path = studio.directory() / "film.mp4"
    path.write_bytes(clip("plain.mp4").read_bytes())
    return path


TRICKS = {
    "playlist-file": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nfile://{neighbour}\n#EXT-X-ENDLIST\n",
    "playlist-http": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nhttp://127.0.0.1:{port}/x.ts\n#EXT-X-ENDLIST\n",
    "playlist-key": '#EXTM3U\n#EXT-X-KEY:METHOD=AES-128,URI="http://127.0.0.1:{port}/k"\n#EXTINF:1,\n{neighbour}\n',
    "playlist-concat": "#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:0\n#EXTINF:10,\n"
    "concat:http://127.0.0.1:{port}/|subfile,,start,0,end,9,,:{neighbour}\n#EXT-X-ENDLIST\n",
    "concat": "ffconcat version 1.0\nfile '{neighbour}'\n",
    "concat-http": "ffconcat version 1.0\nfile 'http://127.0.0.1:{port}/x.mp4'\n",
    "dash": '<?xml version="1.0"?>\n<MPD xmlns="urn:mpeg:dash:schema:mpd:2011" type="static" '
    'mediaPresentationDuration="PT1S"><Period><AdaptationSet mimeType="video/mp4">'
    '<Representation id="1" bandwidth="1"><BaseURL>http://127.0.0.1:{port}/x.mp4</BaseURL></Representation>'
    "</AdaptationSet></Period></MPD>\n",
    "sdp": "v=0\no=- 0 0 IN IP4 127.0.0.1\ns=x\nc=IN IP4 127.0.0.1\nt=0 0\n"
    "m=video {port} RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "svg": '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink">'
    '<image width="9" height="9" xlink:href="http://127.0.0.1:{port}/x.png"/></svg>\n',
    "imf": '<?xml version="1.0"?><CompositionPlaylist xmlns="http://www.smpte-ra.org/schemas/2067-3/2013"/>\n',
    "subfile": "subfile,,start,0,end,0,,:{neighbour}\n",
    "data-url": "data:video/mp4;base64,AAAA\n",
    "script": 'AVISource("{neighbour}")\nreturn last\n',
    "text": "To whom it may concern.\n" * 200,
    "subtitles-alone": "1\n00:00:00,000 --> 00:00:01,000\n{neighbour}\n",
    "html": "<html><video src='http://127.0.0.1:{port}/'></video></html>\n",
    "shell": "#!/bin/sh\ncat {neighbour}\n",
    "zip": "PK\x03\x04 not even a zip\n",
}


@pytest.mark.parametrize("trick", list(TRICKS))
async def test_files_that_name_others(studio: Studio, neighbour: Path, canary: Canary, trick: str) -> None:
    path = studio.directory() / "trick.mp4"
    path.write_text(TRICKS[trick].format(neighbour=neighbour, port=canary.port))

    failure = await studio.failure(path)

    assert failure.code is ErrorCode.NOT_MEDIA
    assert not failure.transient
    assert not canary.heard.is_set()


async def test_the_same_tricks_would_work_on_a_bare_ffmpeg(studio: Studio, neighbour: Path, canary: Canary) -> None:
    """The canary can be heard, or the tests above would prove nothing."""
    path = studio.directory() / "trick.m3u8"
    path.write_text(TRICKS["playlist-http"].format(neighbour=neighbour, port=canary.port))

    options = ["-v", "quiet", "-protocol_whitelist", "file,http,tcp", "-rw_timeout", "1000000"]
    await anyio.run_process(["ffprobe", *options, str(path)], check=False)

    assert canary.heard.wait(60)


async def test_external_references_inside_mp4_are_not_followed(studio: Studio, neighbour: Path) -> None:
    """A QuickTime file whose media lies in another file."""
    data = neighbour.read_bytes()
    alias = b"alis"
    entry = struct.pack(">I", 12) + b"url " + struct.pack(">I", 1)
    at = data.index(entry)
    name = str(neighbour).encode()
    twisted = data[:at] + struct.pack(">I", 12 + len(name)) + alias + struct.pack(">I", 0) + name + data[at + 12 :]
    path = studio.directory() / "alias.mov"
    path.write_bytes(twisted)

    with pytest.raises(JobFailure):
        await studio.convert(path, quality="fast")


def _png(width: int, height: int) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    head = struct.pack(">IIBBBBB", width, height, 8, 6, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def _gif(width: int, height: int) -> bytes:
    head = b"GIF89a" + struct.pack("<HHBBB", width, height, 0x80, 0, 0) + b"\0\0\0\xff\xff\xff"
    return head + b"," + struct.pack("<HHHHB", 0, 0, width, height, 0) + b"\x02\x02\x44\x01\0;"


@pytest.mark.parametrize("bomb", [_gif, _png])
async def test_enormous_pictures_are_refused_before_they_are_decoded(
    studio: Studio, bomb: Callable[[int, int], bytes]
) -> None:
    path = studio.directory() / "bomb"
    path.write_bytes(bomb(16000, 16000))

    failure = await studio.limited(Limits(address_space=1 << 30)).failure(path)

    assert failure.code is ErrorCode.TOO_LARGE
    assert "pixels" in failure.message


def test_thirty_five_bytes_are_enough() -> None:
    assert len(_gif(16000, 16000)) == 35


@pytest.mark.parametrize(
    "data",
    [
        b"\0",
        b"\0" * 4096,
        bytes(range(256)) * 40,
        b"\x1aE\xdf\xa3" + b"\xff" * 500,
        b"\0\0\0\x18ftypisom" + b"\0" * 600,
    ],
    ids=["one-byte", "zeros", "noise", "broken-mkv", "broken-mp4"],
)
async def test_no_media(studio: Studio, data: bytes) -> None:
    path = studio.directory() / "x.mp4"
    path.write_bytes(data)

    failure = await studio.failure(path)

    assert failure.code in (ErrorCode.NOT_MEDIA, ErrorCode.CORRUPT_INPUT, ErrorCode.TRUNCATED_INPUT)
    assert not failure.transient


async def test_nothing_at_all(studio: Studio) -> None:
    path = studio.directory() / "x.mp4"
    path.touch()

    failure = await studio.failure(path)

    assert failure.code is ErrorCode.NOT_MEDIA
    assert "empty" in failure.message


async def test_messages_keep_paths_and_commands_to_themselves(studio: Studio, clip: Clip) -> None:
    for path in (clip("no-index.mp4"), clip("half.mp4")):
        failure = await studio.failure(path)

        for secret in ("/tmp", "ffmpeg", "input", "0x", "moov"):
            assert secret not in failure.message
        assert failure.detail


async def test_an_output_too_large_is_a_reason(studio: Studio, clip: Clip) -> None:
    failure = await studio.limited(Limits(file_size=20_000)).failure(clip("long.mp4"), "mkv", quality="best")

    assert failure.code is ErrorCode.TOO_LARGE


async def test_too_little_memory_is_a_reason(studio: Studio, clip: Clip) -> None:
    failure = await studio.limited(Limits(address_space=300 << 20)).failure(clip("long.mp4"), "webm")

    assert failure.code is ErrorCode.OUT_OF_MEMORY
    assert failure.transient


async def test_names_are_only_names(studio: Studio, clip: Clip) -> None:
    for name in ("-x.mp4", "%d.mp4", "http:a.mp4", "a'b:c,[d];e\\f.mkv", "x" * 200 + ".mp4", "\N{PILE OF POO}.mp4"):
        path = studio.directory() / name
        path.write_bytes(clip("srt.mkv").read_bytes())

        made = await studio.convert(path, subtitles="burn")

        assert made.duration == pytest.approx(1.0, abs=0.1)


def run_inside(studio: Studio, *command: str) -> "subprocess.CompletedProcess[str]":
    workdir = studio.directory()
    wrapped = studio.tools.sandbox.wrap(["/bin/sh", "-c", *command], workdir=workdir, limits=Limits(None))
    return subprocess.run(wrapped, env=environment(workdir), capture_output=True, text=True, check=False, timeout=120)


def test_inside_the_walls(studio: Studio, canary: Canary, tmp_path: Path) -> None:
    if not studio.tools.sandbox.bwrap:
        pytest.skip("bubblewrap does not work here")
    secret = tmp_path / "secret"
    secret.write_text(SECRET)

    assert run_inside(studio, "echo here > file && cat file").stdout == "here\n"
    assert SECRET not in run_inside(studio, f"cat {secret} /etc/passwd").stdout
    assert run_inside(studio, "echo x > /usr/x || echo x > /tmp/x || echo x > /x").returncode != 0
    assert run_inside(studio, f"exec 3<>/dev/tcp/127.0.0.1/{canary.port}").returncode != 0
    assert run_inside(studio, "ls /proc/1 /home /root").stdout == ""
    assert "SECRET" not in run_inside(studio, "env").stdout
    assert not canary.heard.is_set()


async def test_it_works_without_bubblewrap(studio: Studio, clip: Clip) -> None:
    found = studio.tools.sandbox
    bare = Studio(replace(studio.tools, sandbox=Sandbox(found.setpriv, found.prlimit)), studio.able, studio.root)

    made = await bare.convert(clip("plain.mp4"), quality="fast")

    assert made.video["codec_name"] == "h264"
