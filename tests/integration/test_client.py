"""The Python client against the real system: every transport, real parts and ranges, keys and tenants, restarts."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from services.client import (
    Client,
    Event,
    InvalidRequestError,
    Job,
    JobFailedError,
    NotAllowedError,
    NotFoundError,
    Status,
    Transport,
    UploadRef,
)
from services.client.sources import MIB
from tests.conftest import NewStack
from tests.media_files import MediaFiles, ffprobe
from tests.stack import SERVICES, Stack


@pytest_asyncio.fixture(loop_scope="session")
async def client(full_stack: Stack) -> AsyncIterator[Client]:
    async with Client(full_stack.url) as opened:
        yield opened


async def submit(client: Client, path: Path, output_format: str = "mp4", **options: object) -> Job:
    uploaded = await client.upload(path)
    return await client.submit(uploaded.input_path, output_format, filename=uploaded.filename, options=options)


async def follow(client: Client, job: Job, *transports: Transport) -> list[Event]:
    async with asyncio.timeout(300), client.watch([job.job_id], transports=transports or tuple(Transport)) as events:
        return [event async for event in events]


@pytest.mark.parametrize("transport", Transport)
async def test_a_film_is_converted_watched_and_fetched(
    client: Client, media: MediaFiles, tmp_path: Path, transport: Transport
) -> None:
    job = await submit(client, media.avi(3, "640x360", 25), max_height=180)
    events = await follow(client, job, transport)
    assert events[-1].job.status is Status.COMPLETED
    assert {event.transport for event in events} == {transport}
    percents = [event.job.progress.percent for event in events if event.job.progress.percent is not None]
    assert percents == sorted(percents)
    await client.download(job.job_id, tmp_path / "film.mp4")
    streams = ffprobe(tmp_path / "film.mp4")["streams"]
    assert [(stream["codec_name"], stream.get("height")) for stream in streams] == [("h264", 180), ("aac", None)]
    assert (await client.get(job.job_id)).outputs[0].size == (tmp_path / "film.mp4").stat().st_size


async def test_the_push_channel_tells_every_step(client: Client, media: MediaFiles) -> None:
    job = await submit(client, media.avi(3, "640x360", 25))
    types = [event.type for event in await follow(client, job, Transport.WEBSOCKET)]
    assert types[0] in {"snapshot", "job.queued"}
    assert types[-1] == "job.completed"


async def test_a_failure_comes_with_its_reason(client: Client, media: MediaFiles) -> None:
    job = await submit(client, media.garbage())
    with pytest.raises(JobFailedError) as caught:
        await client.wait(job.job_id)
    assert caught.value.job.error is not None
    assert caught.value.job.error.code == "not_media"
    with pytest.raises(InvalidRequestError, match="output_format"):
        await client.submit(job.input_path, "lavfi")


async def test_a_job_is_cancelled_retried_and_deleted(client: Client, media: MediaFiles) -> None:
    job = await submit(client, media.slow(20), "webm")
    async with asyncio.timeout(300), client.watch([job.job_id]) as events:
        while (await anext(events)).job.stage != "transcoding":
            pass
        assert (await client.cancel(job.job_id)).status is Status.CANCELLED
        rest = [event async for event in events]
    assert rest[-1].type == "job.cancelled"
    retried = await client.retry(job.job_id)
    assert (retried.attempt, retried.status) == (2, Status.QUEUED)
    await client.cancel(job.job_id)
    await client.delete(job.job_id)
    with pytest.raises(NotFoundError):
        await client.get(job.job_id)
    assert job.job_id not in [known.job_id async for known in client.list(page_size=2)]


async def test_an_upload_goes_on_in_the_real_store(
    client: Client, full_stack: Stack, media: MediaFiles, tmp_path: Path
) -> None:
    film = tmp_path / "big.avi"
    film.write_bytes(media.avi().read_bytes() + os.urandom(16 * MIB))
    begun: list[UploadRef] = []
    async with Client(full_stack.url) as first:

        def give_up(done: int, _: int | None) -> None:
            if done > 11 * MIB:
                upload.cancel()

        upload = asyncio.create_task(first.upload(film, parallel=1, on_begun=begun.append, on_progress=give_up))
        with pytest.raises(asyncio.CancelledError):
            await upload
    steps: list[int] = []
    uploaded = await client.upload(film, resume=begun[0], parallel=1, on_progress=lambda done, _: steps.append(done))
    assert steps[:2] == [5 * MIB, 10 * MIB]  # found there, in one step each
    assert uploaded.input_path == begun[0].key
    job = await client.submit(uploaded.input_path, "mp3")
    assert (await follow(client, job))[-1].job.status is Status.COMPLETED


async def test_a_stream_of_unknown_length_is_uploaded(client: Client, media: MediaFiles) -> None:
    with media.avi().open("rb") as film:
        uploaded = await client.upload(film, filename='my "film" ü.avi')
    job = await client.submit(uploaded.input_path, "mp3", filename=uploaded.filename)
    assert (await client.wait(job.job_id)).filename == 'my "film" ü.avi'
    assert (await client.locate(job.job_id)).filename == 'my "film" ü.mp3'


async def test_a_download_goes_on_from_what_is_there(client: Client, media: MediaFiles, tmp_path: Path) -> None:
    job = await submit(client, media.avi(3, "640x360", 25))
    await client.wait(job.job_id)
    whole = tmp_path / "whole.mp4"
    await client.download(job.job_id, whole)
    data = whole.read_bytes()
    (tmp_path / f".again.mp4.{job.job_id}-1.part").write_bytes(data[: len(data) // 2])
    steps: list[int] = []
    await client.download(job.job_id, tmp_path / "again.mp4", on_progress=lambda done, _: steps.append(done))
    assert (tmp_path / "again.mp4").read_bytes() == data
    assert steps[0] == len(data) // 2
    assert min(steps[1:]) > len(data) // 2


async def test_a_plan_is_made_without_a_job(client: Client, media: MediaFiles) -> None:
    uploaded = await client.upload(media.mp4())
    answer = await client.plan(uploaded.input_path, "mkv")
    assert [stream.action for stream in answer.plan.streams] == ["copy", "copy"]
    assert uploaded.input_path not in [job.input_path async for job in client.list()]


async def test_the_service_says_what_it_can_and_how_it_is(client: Client) -> None:
    formats = await client.formats()
    assert formats.find("mp4") is not None
    assert formats.limits.max_upload_size == 10**9
    checks = await client.ready()
    assert checks
    assert set(checks.values()) == {"ok"}
    assert [letter async for letter in client.dead_letters()] == []


@pytest.mark.parametrize("transport", [Transport.WEBSOCKET, Transport.SSE])
async def test_a_restarted_notifier_costs_no_event(
    client: Client, full_stack: Stack, media: MediaFiles, transport: Transport
) -> None:
    job = await submit(client, media.slow(20), "webm")
    restarted = cancelled = False
    events: list[Event] = []
    async with asyncio.timeout(300), client.watch([job.job_id], transports=[transport]) as watch:
        async for event in watch:
            events.append(event)
            if event.job.stage == "transcoding" and not restarted:
                restarted = True
                await full_stack.restart("notifier")
            elif restarted and not cancelled:
                cancelled = True
                await client.cancel(job.job_id)
    assert events[-1].type == "job.cancelled"
    seqs = [event.job.seq for event in events]
    assert seqs == sorted(set(seqs))


async def test_tenants_have_keys_and_see_their_own(new_stack: NewStack, media: MediaFiles, tmp_path: Path) -> None:
    async with new_stack(env={"AUTH": "api_key"}) as stack:
        await stack.start("s3", "nginx", *SERVICES)
        keys = [await make_key(stack, tenant) for tenant in ("ada", "bob")]
        async with Client(stack.url, keys[0]) as ada, Client(stack.url, keys[1]) as bob, Client(stack.url) as nobody:
            job = await submit(ada, media.avi())
            for transport in (Transport.WEBSOCKET, Transport.SSE):
                events = await follow(ada, job, transport)
                assert events[-1].job.status is Status.COMPLETED
                assert events[-1].transport is transport
            await ada.download(job.job_id, tmp_path / "film.mp4")
            with pytest.raises(NotFoundError):
                await bob.get(job.job_id)
            with pytest.raises(NotFoundError):
                await follow(bob, job)
            assert [known async for known in bob.list()] == []
            with pytest.raises(NotAllowedError):
                await nobody.formats()
            with pytest.raises(NotAllowedError):
                await follow(nobody, job)


async def make_key(stack: Stack, tenant: str) -> str:
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.gateway.keys", "make", tenant, env=stack.env, stdout=asyncio.subprocess.PIPE
    )
    out, _ = await process.communicate()
    assert process.returncode == 0
    return out.decode().strip()
