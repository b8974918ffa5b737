"""`cvc` and `make demo` against the real system."""

import asyncio
import signal
import sys
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from services.client import Client, Status
from tests.media_files import MediaFiles, ffprobe
from tests.stack import Stack, eventually


@dataclass
class Done:
    status: int
    out: bytes
    err: str


class Shell:
    def __init__(self, stack: Stack, directory: Path) -> None:
        own = {"CVC_URL": stack.url, "HOME": str(directory), "XDG_STATE_HOME": str(directory / "state")}
        self.environment = {**stack.env, **own}
        self.directory = directory

    async def start(self, *argv: str, given: bytes | None = None) -> asyncio.subprocess.Process:
        return await asyncio.create_subprocess_exec(
            sys.executable,
            *argv,
            cwd=self.directory,
            env=self.environment,
            stdin=asyncio.subprocess.DEVNULL if given is None else asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
        )

    async def end(self, process: asyncio.subprocess.Process, given: bytes | None = None) -> Done:
        async with asyncio.timeout(300):
            out, err = await process.communicate(given)
        assert process.returncode is not None
        return Done(process.returncode, out, err.decode())

    async def cvc(self, *arguments: str, given: bytes | None = None) -> Done:
        return await self.end(await self.start("-m", "services.client", *arguments, given=given), given)


@pytest.fixture
def shell(full_stack: Stack, tmp_path: Path) -> Shell:
    return Shell(full_stack, tmp_path)


async def test_several_files_are_converted_and_the_bad_one_is_told(
    shell: Shell, media: MediaFiles, tmp_path: Path
) -> None:
    (tmp_path / "in").mkdir()
    (tmp_path / "in" / "one.avi").write_bytes(media.avi(2, "320x240", 25).read_bytes())
    (tmp_path / "in" / "two.avi").write_bytes(media.avi().read_bytes())
    (tmp_path / "in" / "bad.avi").write_bytes(media.garbage().read_bytes())
    done = await shell.cvc("convert", "in/*.avi", "--to", "mp4", "--max-height", "120", "-o", "out/")
    assert done.status == 1
    assert "bad.avi: failed: This file is not a video or audio file" in done.err
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["one.mp4", "two.mp4"]
    assert ffprobe(tmp_path / "out" / "one.mp4")["streams"][0]["height"] == 120


async def test_a_film_goes_through_a_pipe(shell: Shell, media: MediaFiles, tmp_path: Path) -> None:
    film = media.avi().read_bytes()
    done = await shell.cvc("convert", "-", "--to", "mp3", "-o", "-", "--delete", given=film)
    assert done.status == 0, done.err
    (tmp_path / "x.mp3").write_bytes(done.out)
    assert ffprobe(tmp_path / "x.mp3")["streams"][0]["codec_name"] == "mp3"


async def test_ctrl_c_cancels_the_job(shell: Shell, full_stack: Stack, media: MediaFiles) -> None:
    async with Client(full_stack.url) as client:
        process = await shell.start(
            "-m", "services.client", "convert", str(media.slow(20)), "--to", "webm", "-o", "x.webm"
        )

        async def transcoding() -> str | None:
            jobs = [job async for job in client.list(status=Status.PROCESSING)]
            return next((job.job_id for job in jobs if job.stage == "transcoding"), None)

        job_id = await eventually(transcoding)
        process.send_signal(signal.SIGINT)
        assert (await shell.end(process)).status == 130
        assert job_id is not None
        assert (await client.get(job_id)).status is Status.CANCELLED


async def test_jobs_are_seen_watched_fetched_and_removed(shell: Shell, media: MediaFiles, tmp_path: Path) -> None:
    (tmp_path / "film.avi").write_bytes(media.avi().read_bytes())
    made = await shell.cvc("convert", "film.avi", "--to", "mkv", "--detach")
    job_id = made.out.decode().strip()
    watched = await shell.cvc("watch", job_id, "--json")
    assert watched.status == 0
    assert orjson.loads(watched.out.splitlines()[-1])["job"]["status"] == "COMPLETED"
    fetched = await shell.cvc("download", job_id, "-o", "results/")
    assert fetched.status == 0, fetched.err
    assert (tmp_path / "results" / "film.mkv").stat().st_size
    assert job_id in (await shell.cvc("jobs")).out.decode()
    planned = await shell.cvc("plan", "film.avi", "--to", "mp4", "--json")
    assert orjson.loads(planned.out)["plan"]["streams"][0]["target"] == "h264"
    assert (await shell.cvc("delete", job_id)).status == 0
    assert (await shell.cvc("jobs", job_id)).status == 1


async def test_the_demonstration_shows_what_it_made(shell: Shell, tmp_path: Path) -> None:
    done = await shell.end(await shell.start("-m", "services.client.demo", "--seconds", "2", "-o", str(tmp_path)))
    assert done.status == 0, done.err
    told = done.out.decode()
    assert "watched over a WebSocket" in told
    assert f"The result is {tmp_path / 'demo clip.mp4'}" in told
    assert "h264 1280x720 and aac" in told
    assert ffprobe(tmp_path / "demo clip.mp4")["format"]["duration"].startswith("2.")


async def test_the_demonstration_says_when_the_system_is_not_running(shell: Shell) -> None:
    shell.environment["CVC_URL"] = "http://127.0.0.1:1"
    done = await shell.end(await shell.start("-m", "services.client.demo"))
    assert done.status == 1
    assert "make up" in done.err
    assert "Traceback" not in done.err
