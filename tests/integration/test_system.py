"""The whole system by its public faces: real films in, real films out, watched over the push channel."""

import uuid
from pathlib import Path

from aiohttp import ClientSession

from services.client import Client
from services.common.jobs import Job, Status
from tests.conftest import NewStack
from tests.integration.broker_client import watching
from tests.media_files import MediaFiles, big_buck_bunny, ffprobe
from tests.stack import SERVICES, Stack, eventually

PROGRESS = "job.progress"


async def convert(stack: Stack, source: Path, output_format: str, target: Path) -> tuple[Job, list[float]]:
    """The job as it ended, and the percents that were told on the way."""
    async with Client(stack.url) as client:
        upload = await client.upload(source)
        job = await client.submit(upload.input_path, output_format)
        progress = [event.job.progress.percent async for event in client.watch(job.job_id) if event.type == PROGRESS]
        percents = [percent for percent in progress if percent is not None]
        job = await client.wait(job.job_id)
        if job.status is Status.COMPLETED:
            await client.download(job.job_id, target)
    return job, percents


def streams_of(report: dict) -> dict[str, dict]:
    return {stream["codec_type"]: stream for stream in report["streams"]}


async def test_a_real_film_to_webm(full_stack: Stack, tmp_path: Path):
    source, target = big_buck_bunny(), tmp_path / "bunny.webm"
    job, percents = await convert(full_stack, source, "webm", target)
    assert job.status is Status.COMPLETED, job.error
    assert percents == sorted(percents)
    assert len(set(percents)) >= 3
    before, after = ffprobe(source, "-count_frames"), ffprobe(target, "-count_frames")
    assert {kind: stream["codec_name"] for kind, stream in streams_of(after).items()} == {
        "video": "vp9",
        "audio": "opus",
    }
    picture, original = streams_of(after)["video"], streams_of(before)["video"]
    assert (picture["width"], picture["height"]) == (original["width"], original["height"])
    assert abs(int(picture["nb_read_frames"]) - int(original["nb_read_frames"])) <= 1
    assert abs(float(after["format"]["duration"]) - float(before["format"]["duration"])) < 0.2
    assert job.outputs[0].size == target.stat().st_size


async def test_the_sound_of_a_real_film_to_mp3(full_stack: Stack, tmp_path: Path):
    source, target = big_buck_bunny(), tmp_path / "bunny.mp3"
    job, _ = await convert(full_stack, source, "mp3", target)
    assert job.status is Status.COMPLETED, job.error
    report = ffprobe(target)
    assert [stream["codec_name"] for stream in report["streams"]] == ["mp3"]
    assert abs(float(report["format"]["duration"]) - float(ffprobe(source)["format"]["duration"])) < 0.2


async def test_an_old_cameras_film_to_mp4(full_stack: Stack, media: MediaFiles, tmp_path: Path):
    source, target = media.avi(8, "640x360", 25), tmp_path / "film.mp4"
    job, percents = await convert(full_stack, source, "mp4", target)
    assert job.status is Status.COMPLETED, job.error
    assert (percents, job.attempt) == (sorted(percents), 1)
    report = ffprobe(target, "-count_frames")
    picture = streams_of(report)["video"]
    assert (picture["codec_name"], picture["profile"], picture["pix_fmt"]) == ("h264", "High", "yuv420p")
    assert int(picture["nb_read_frames"]) == 200
    assert streams_of(report)["audio"]["codec_name"] == "aac"
    assert b"moov" in target.read_bytes()[:4096]  # the index is in front: it plays while it loads


async def test_work_put_on_the_broker_by_another_program_is_seen_by_everybody(full_stack: Stack, media: MediaFiles):
    async with watching(full_stack) as watcher, Client(full_stack.url) as client:
        job_id = await watcher.request(await watcher.put(media.avi(1)), job_id=str(uuid.uuid4()))
        await watcher.outcome(job_id)
        job = await eventually(lambda: _ended(client, job_id))
    assert (job.status, job.output_path) == (Status.COMPLETED, f"processed/{job_id}.mp4")


async def _ended(client: Client, job_id: str) -> Job | None:
    jobs = [job async for job in client.list() if job.job_id == job_id and job.status is Status.COMPLETED]
    return jobs[0] if jobs else None


async def test_a_transcoder_killed_in_mid_job_ends_in_one_result(full_stack: Stack, media: MediaFiles):
    ends = 0
    async with Client(full_stack.url) as client:
        job = await client.submit((await client.upload(media.slow(12))).input_path, "mp4")
        killed = False
        async for event in client.watch(job.job_id):
            if event.type == PROGRESS and (event.job.progress.percent or 0) > 0 and not killed:
                killed = True
                full_stack.kill("transcoder")
                await full_stack.exited("transcoder")
                await full_stack.start("transcoder")
            ends += event.type == "job.completed"
        job = await client.wait(job.job_id)
    assert killed
    assert (job.status, job.attempt, ends) == (Status.COMPLETED, 2, 1)


async def test_jobs_and_files_are_there_again_after_a_restart(new_stack: NewStack, media: MediaFiles, tmp_path: Path):
    async with new_stack(own_broker=True) as stack:
        everything = ("epmd", "rabbitmq", "s3", "nginx", *SERVICES)
        await stack.start("epmd")
        await stack.start(*everything[1:])
        job, _ = await convert(stack, media.mp4(), "mp4", tmp_path / "before.mp4")
        await stack.stop(*reversed(everything))
        await stack.start("epmd")
        await stack.start(*everything[1:])
        async with Client(stack.url) as client:
            assert await client.get(job.job_id) == job
            await client.download(job.job_id, tmp_path / "after.mp4")
    assert (tmp_path / "after.mp4").read_bytes() == (tmp_path / "before.mp4").read_bytes()


async def test_what_the_push_channel_has_told_can_be_downloaded_at_once(full_stack: Stack, media: MediaFiles):
    async with Client(full_stack.url) as client, ClientSession() as http:
        upload = await client.upload(media.mp4())
        for _ in range(5):
            job = await client.submit(upload.input_path, "mp4")
            async for event in client.watch(job.job_id):
                if event.type == "job.completed":
                    async with http.get(f"{full_stack.url}/api/jobs/{job.job_id}/download") as response:
                        assert response.status == 200, await response.text()
