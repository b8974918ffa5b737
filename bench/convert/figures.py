"""`clips`, `overhead` and `copy`."""

import asyncio
import os
import sqlite3
import statistics
import subprocess
import tempfile
import uuid
from pathlib import Path
from time import perf_counter
from typing import Any

import aio_pika
import orjson

from bench.convert.bare import commands_for, run_all
from bench.convert.system import System, seed_workers, system

CLIPS = 40
AT_A_TIME = 2
TURNS = 4  # one alone varies by two per cent and more, as the machine does
# What the system chooses for mp4, so that the seed design does the same work.
ENCODING = "-c:v libx264 -preset medium -crf 23 -c:a aac"
CLIP = ("-f", "lavfi", "-i", "testsrc2=s=1280x720:r=25:d=4", "-f", "lavfi", "-i", "sine=d=4")
LARGE_CLIP = ("-f", "lavfi", "-i", "testsrc2=s=1920x1080:r=30:d=4", "-f", "lavfi", "-i", "sine=d=4")
CLIP_CODECS = ("-c:v", "mpeg4", "-q:v", "4", "-c:a", "libmp3lame")
SHORT_CLIP = ("-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=4", "-f", "lavfi", "-i", "sine=d=4")
SEED_QUEUE = "seed-video-jobs"


def figure(  # noqa: PLR0917 -- a row of a table
    bench: str, unit: str, ours: float, peer: str, peer_value: float, goal: str, *, holds: bool
) -> dict[str, Any]:
    return {
        "bench": bench,
        "unit": unit,
        "ours": round(ours, 3),
        "peer": peer,
        "peer_value": round(peer_value, 3),
        "ratio": round(ours / peer_value, 3) if peer_value else None,
        "goal": goal,
        "holds": holds,
    }


def make(path: Path, *arguments: str) -> Path:
    subprocess.run(["ffmpeg", "-nostdin", "-v", "error", "-y", *arguments, str(path)], check=True)
    return path


async def clips() -> list[dict[str, Any]]:
    """Forty short clips, two at a time: the system, the same commands bare, and the seed design.

    And twenty at the size that phones make, where ffmpeg has more to do for each.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        small = make(directory / "small.avi", *CLIP, *CLIP_CODECS)
        large = make(directory / "large.avi", *LARGE_CLIP, *CLIP_CODECS)
        async with system(concurrency=AT_A_TIME) as running:
            keys = [await running.put(small) for _ in range(CLIPS)]
            await running.convert(keys[:AT_A_TIME], "mp4", {})
            pairs = await _beside_bare(running, keys, small, directory, turns=TURNS)
            seed = await _seed(running, keys, directory)
            keys = [await running.put(large) for _ in range(CLIPS)]
            large_pairs = await _beside_bare(running, keys[: CLIPS // 2], large, directory, turns=2)
    own = statistics.median(ours for ours, _ in pairs)
    return [
        _clips_figure("s for 40 clips, 720p", pairs),
        # No goal: its ffmpeg has less to do, as nothing is probed, pictured or told of while it runs.
        figure("clips", "s for 40 clips, 720p", own, "seed design", seed, "none, shown beside", holds=True),
        _clips_figure("s for 20 clips, 1080p", large_pairs),
    ]


async def _beside_bare(
    running: System, keys: list[str], source: Path, directory: Path, *, turns: int
) -> list[tuple[float, float]]:
    """Seconds by the system for `keys`, all of them `source`, and by the same commands bare.

    Who is first changes with each turn, as the machine itself is faster at one time than at another.
    """
    job = await commands_for(source, "mp4", {}, concurrency=AT_A_TIME, directory=directory, probed=True)
    pairs = []
    for turn in range(turns):
        first = None if turn % 2 == 0 else await running.convert(keys, "mp4", {})
        bare = await run_all([job] * len(keys), directory / "bare", at_a_time=AT_A_TIME)
        pairs.append((first or await running.convert(keys, "mp4", {}), bare))
    return pairs


def _clips_figure(unit: str, pairs: list[tuple[float, float]]) -> dict[str, Any]:
    ours, bare = (statistics.fmean(side) for side in zip(*pairs, strict=True))
    holds = ours / bare <= 1.03
    return figure("clips", unit, ours, "the same ffprobe and ffmpeg commands", bare, "ratio <= 1.03", holds=holds)


async def _seed(running: System, keys: list[str], directory: Path) -> float:
    database = directory / "seed.db"
    db = sqlite3.connect(database)
    db.execute("create table jobs(id text primary key, status text, updated_at real)")
    db.commit()
    async with (
        await aio_pika.connect(running.stack.amqp_url) as connection,
        seed_workers(running.stack, database, count=AT_A_TIME, encoding=ENCODING),
    ):
        channel = await connection.channel()
        await channel.declare_queue(SEED_QUEUE, durable=True)
        begun = perf_counter()
        for key in keys:
            job = str(uuid.uuid4())
            db.execute("insert into jobs values(?, 'QUEUED', 0)", (job,))
            db.commit()
            body = {"job_id": job, "input_path": key, "output_format": "mp4", "output_path": f"processed/{job}.mp4"}
            await channel.default_exchange.publish(
                aio_pika.Message(orjson.dumps(body), delivery_mode=2), routing_key=SEED_QUEUE
            )
        while db.execute("select count(*) from jobs where status = 'COMPLETED'").fetchone()[0] < len(keys):
            if db.execute("select count(*) from jobs where status = 'FAILED'").fetchone()[0]:
                raise RuntimeError("the seed design failed")
            await asyncio.sleep(0.01)
        return perf_counter() - begun


async def overhead() -> list[dict[str, Any]]:
    """One short job alone: what the system adds to its ffmpeg command, from POST to the completed event.

    And what a transcoder takes of the memory before it has done anything.
    """
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        source = make(directory / "clip.avi", *SHORT_CLIP, *CLIP_CODECS)
        job = await commands_for(source, "mp4", {}, concurrency=1, directory=directory)
        added: list[float] = []
        async with system(concurrency=1) as running:
            idle_mib = resident_bytes(running.stack.pid("transcoder")) / 2**20
            key = await running.put(source)
            await running.convert([key], "mp4", {})
            for turn in range(15):
                bare = await run_all([job], directory / f"bare-{turn}", at_a_time=1)
                added.append(await running.convert([key], "mp4", {}) - bare)
    ms = statistics.median(added) * 1000
    return [
        figure("overhead", "ms over bare ffmpeg", ms, "goal", 150, "<= 150 ms", holds=ms <= 150),
        figure("overhead", "MiB resident, idle transcoder", idle_mib, "goal", 60, "< 60 MiB", holds=idle_mib < 60),
    ]


def resident_bytes(pid: int) -> int:
    """Memory of the process that is in RAM, pages that it shares with others included."""
    pages = int(Path("/proc", str(pid), "statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE")


async def copy() -> list[dict[str, Any]]:
    """Ten minutes of H.264 and AAC from mkv to mp4: copied by the system, and encoded by it."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        source = make(
            Path(name) / "long.mkv",
            *("-f", "lavfi", "-i", "testsrc2=s=640x360:r=25:d=600", "-f", "lavfi", "-i", "sine=d=600"),
            *("-c:v", "libx264", "-preset", "ultrafast", "-pix_fmt", "yuv420p", "-c:a", "aac"),
        )
        async with system(concurrency=1) as running:
            key = await running.put(source)
            copied = [await running.convert([key], "mp4", {}) for _ in range(3)]
            encoded = await running.convert([key], "mp4", {"max_height": 358})
    ours = statistics.median(copied)
    return [
        figure(
            "copy", "s for 10 minutes", ours, "the same, encoded", encoded, "ratio <= 1/20", holds=ours <= encoded / 20
        )
    ]
