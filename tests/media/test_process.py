"""A program run to its end, whatever happens to it or to us."""

import contextlib
import os
import signal
import sys
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from services.transcoder import ffmpeg, hwaccel
from services.transcoder.convert import Converter
from services.transcoder.progress import FfmpegProgress
from services.transcoder.sandbox import Sandbox
from services.transcoder.stderr import TAIL_BYTES
from tests.media.conftest import Clip
from tests.media.studio import Studio

ENV = {"PATH": os.environ["PATH"]}
ENDLESS = [
    "-f",
    "lavfi",
    "-i",
    "testsrc=s=320x180:r=25",
    "-c:v",
    "libx264",
    "-preset",
    "ultrafast",
    "-progress",
    "pipe:1",
    "-stats_period",
    "0.1",
]


def alive(pid: int) -> bool:
    """True if the process exists and is not a zombie."""
    try:
        return "State:\tZ" not in Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return False


def children(pid: int, others: frozenset[int] = frozenset()) -> set[int]:
    """The processes below `pid`, but for `others` and what is below these: a broker has some that come and go."""
    found: set[int] = set()
    for task in Path(f"/proc/{pid}/task").glob("*/children"):
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):  # gone in the meantime
            for child in set(map(int, task.read_text().split())) - others:
                found |= {child} | children(child, others)
    return found


async def until(true: Callable[[], bool]) -> None:
    with anyio.fail_after(60):
        while not true():  # noqa: ASYNC110 -- the state of processes has no event
            await anyio.sleep(0.02)


def shell(script: str) -> list[str]:
    return ["/bin/sh", "-c", script]


async def test_outcome_and_streams(tmp_path: Path) -> None:
    result = await ffmpeg.run(shell("echo out; echo err >&2; exit 3"), cwd=tmp_path, env=ENV, keep_stdout=1000)

    assert (result.returncode, result.stdout, result.stderr) == (3, b"out\n", "err\n")


async def test_a_program_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="nowhere"):
        await ffmpeg.run([str(tmp_path / "nowhere")], cwd=tmp_path, env=ENV)


async def test_a_flood_without_a_newline_is_drained(tmp_path: Path) -> None:
    script = "import sys; sys.stderr.write('x' * 262144); sys.stderr.flush(); sys.stdout.write('progress=end\\n')"
    seen: list[FfmpegProgress] = []

    result = await ffmpeg.run(
        [sys.executable, "-c", script], cwd=tmp_path, env=ENV, on_progress=seen.append, timeout_s=60
    )

    assert result.returncode == 0
    assert len(result.stderr) == TAIL_BYTES
    assert [block.ended for block in seen] == [True]


async def test_standard_input_is_empty(tmp_path: Path) -> None:
    result = await ffmpeg.run(shell("cat; echo done"), cwd=tmp_path, env=ENV, keep_stdout=100, timeout_s=60)

    assert result.stdout == b"done\n"


async def test_kept_output_is_bounded(tmp_path: Path) -> None:
    result = await ffmpeg.run(shell("head -c 1000000 /dev/zero"), cwd=tmp_path, env=ENV, keep_stdout=1000)

    assert len(result.stdout) == 1000


async def test_a_child_that_holds_the_pipes_open_is_ended_too(tmp_path: Path) -> None:
    result = await ffmpeg.run(shell("sleep 600 & echo $! >&2; exit 0"), cwd=tmp_path, env=ENV, timeout_s=60)

    assert result.returncode == 0
    await until(lambda: not alive(int(result.stderr)))


async def test_one_that_stands_still_is_ended(tmp_path: Path) -> None:
    result = await ffmpeg.run(shell("trap '' TERM; exec sleep 600"), cwd=tmp_path, env=ENV, stall_timeout_s=0.2)

    assert result.stopped == "stalled"
    assert result.returncode == -signal.SIGKILL


async def test_the_same_progress_again_is_standing_still(tmp_path: Path) -> None:
    script = "while true; do echo out_time_us=5; echo progress=continue; sleep 0.05; done"

    result = await ffmpeg.run(shell(script), cwd=tmp_path, env=ENV, stall_timeout_s=0.5)

    assert result.stopped == "stalled"


async def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    seen: list[FfmpegProgress] = []
    command = ["ffmpeg", "-nostdin", *ENDLESS, "-f", "null", "-"]

    result = await ffmpeg.run(
        command, cwd=tmp_path, env=ENV, on_progress=seen.append, stall_timeout_s=30, timeout_s=4.0
    )

    assert result.stopped == "timeout"
    assert seen


@pytest.mark.parametrize("walls", ["all", "few"])
async def test_cancelling_leaves_nothing_running(studio: Studio, tmp_path: Path, walls: str) -> None:
    sandbox = studio.tools.sandbox
    command = [studio.tools.ffmpeg, "-nostdin", *ENDLESS, "-f", "mp4", "out.mp4"]
    if walls == "all":
        command = sandbox.wrap(command, workdir=tmp_path)
    others, running = frozenset(children(os.getpid())), set[int]()

    async with anyio.create_task_group() as group:

        def started(block: FfmpegProgress) -> None:
            if block.frame and not running:
                running.update(children(os.getpid(), others))
                group.cancel_scope.cancel()

        group.start_soon(lambda: ffmpeg.run(command, cwd=tmp_path, env=ENV, on_progress=started, timeout_s=60))

    assert running
    assert not any(alive(pid) for pid in running)


@pytest.mark.parametrize("walls", ["bubblewrap", "setpriv"])
async def test_killing_us_kills_ffmpeg(studio: Studio, tmp_path: Path, walls: str) -> None:
    """A transcoder in miniature is killed as the kernel does it."""
    if not getattr(studio.tools.sandbox, "bwrap" if walls == "bubblewrap" else "setpriv"):
        pytest.skip(f"{walls} does not work here")
    mode = "auto" if walls == "bubblewrap" else "none"
    script = f"""
import asyncio, dataclasses
from pathlib import Path
from services.transcoder import ffmpeg, hwaccel
from services.transcoder.tools import discover

async def main():
    sandbox = (await discover(ffmpeg="{studio.tools.ffmpeg}", sandbox="{mode}")).sandbox
    command = sandbox.wrap(["{studio.tools.ffmpeg}", "-nostdin", *{ENDLESS!r}, "-f", "null", "-"], workdir=Path("."))
    await ffmpeg.run(command, cwd=Path("."), env={ENV!r}, on_progress=lambda block: print("running", flush=True))

asyncio.run(main())
"""
    root = str(Path(__file__).parents[2])
    source = script.replace('Path(".")', f'Path("{tmp_path}")')
    async with await anyio.open_process(
        [sys.executable, "-c", source], cwd=root, env={**os.environ, "PYTHONPATH": root}
    ) as parent:
        assert parent.stdout is not None
        said = b""
        while b"running" not in said:
            said += await parent.stdout.receive()
        running = children(parent.pid)
        assert running
        parent.kill()

    await until(lambda: not any(alive(pid) for pid in running))


async def test_cancelling_a_conversion_leaves_only_its_directory(studio: Studio, clip: Clip) -> None:
    others = frozenset(children(os.getpid()))

    async with anyio.create_task_group() as group:

        async def convert() -> None:
            await studio.convert(clip("long.mp4"), "webm", quality="best")

        group.start_soon(convert)
        await until(lambda: bool(children(os.getpid(), others)))
        group.cancel_scope.cancel()

    assert not children(os.getpid(), others)


async def test_the_next_one_begins_when_ffmpeg_has_written_its_last_byte(studio: Studio, clip: Clip) -> None:
    begun = studio.directory()
    lingering = begun / "ffmpeg"
    # It does not end before another has begun.
    lingering.write_text(
        f'#!/bin/sh\n: > "{begun}/begun.$$"\n{studio.tools.ffmpeg} "$@" || exit\n'
        f'until [ -e "{begun}/enough" ]; do sleep 0.05; done\n'
    )
    lingering.chmod(0o755)
    tools = replace(studio.tools, ffmpeg=str(lingering), sandbox=Sandbox())
    converter = Converter(tools, studio.able, at_a_time=1)

    async def convert() -> None:
        source, directory = clip("plain.mp4"), studio.directory()
        await converter(source, directory, "mp3", {}, lambda *_: None)

    async with anyio.create_task_group() as group:
        group.start_soon(convert)
        group.start_soon(convert)
        await until(lambda: len(list(begun.glob("begun.*"))) == 2)
        (begun / "enough").touch()


@pytest.mark.skipif(len(os.sched_getaffinity(0)) < 2, reason="needs two processors")
async def test_two_that_fill_the_machine_keep_to_their_halves(
    studio: Studio, clip: Clip, monkeypatch: pytest.MonkeyPatch
) -> None:
    everywhere = sorted(os.sched_getaffinity(0))
    halves = {everywhere[0]}, {everywhere[1]}
    monkeypatch.setattr("services.transcoder.convert.shares", lambda _: halves)
    converter = Converter(studio.tools, studio.able, at_a_time=2)
    others = frozenset(children(os.getpid()))

    def seen() -> list[set[int]]:
        """Where the threads of each ffmpeg may run, one set for each ffmpeg once its threads agree."""
        found = []
        for pid in children(os.getpid(), others):
            if named(pid) != "ffmpeg":
                continue
            with contextlib.suppress(OSError):
                places = {
                    frozenset(os.sched_getaffinity(int(task.name))) for task in Path(f"/proc/{pid}/task").iterdir()
                }
                found += [set(place) for place in places]
        return sorted(found, key=sorted)

    async def convert() -> None:
        source, directory = clip("long.mp4"), studio.directory()
        # Far more frames than there will be time for: both end by being cancelled.
        await converter(source, directory, "webm", {"quality": "best", "fps": 60}, lambda *_: None)

    async with anyio.create_task_group() as both:
        both.start_soon(convert)
        async with anyio.create_task_group() as one:
            one.start_soon(convert)
            await until(lambda: seen() == list(halves))
            one.cancel_scope.cancel()
        await until(lambda: seen() == [set(halves[0] | halves[1])])
        both.cancel_scope.cancel()


def named(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except OSError:
        return ""


async def test_hardware_that_fails_is_done_without(studio: Studio, clip: Clip) -> None:
    """There is none here, so to insist on it fails; the job does not."""
    able = replace(studio.able, hardware="vaapi", hardware_codecs=frozenset({"h264"}))
    broken = Studio(studio.tools, able, studio.root)

    made = await broken.convert(clip("plain.mp4"), quality="fast")

    assert made.video["codec_name"] == "h264"


async def test_hardware_is_believed_when_it_has_encoded(studio: Studio) -> None:
    wanted: tuple[hwaccel.Hwaccel, ...] = ("none", "auto", "nvenc")
    for kind in wanted:
        hardware, codecs = await hwaccel.detect(studio.tools, kind, studio.directory())

        assert (hardware is None) == (not codecs)
        if kind == "none":
            assert hardware is None
