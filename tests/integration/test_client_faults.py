"""The client while parts of the system go away and come back."""

import asyncio
import os
import signal
from pathlib import Path

from services.client import Client, Event, Status, Transport
from services.client.sources import MIB
from tests.conftest import NewStack
from tests.media_files import MediaFiles
from tests.stack import SERVICES, Stack


async def test_a_gateway_killed_during_an_upload_costs_nothing(
    full_stack: Stack, media: MediaFiles, tmp_path: Path
) -> None:
    film = tmp_path / "big.avi"
    film.write_bytes(media.avi().read_bytes() + os.urandom(24 * MIB))
    killed: list[asyncio.Task[None]] = []

    async def restart() -> None:
        full_stack.kill("gateway", signal.SIGKILL)
        await full_stack.exited("gateway")
        await full_stack.start("gateway")

    def on_progress(done: int, _: int | None) -> None:
        if done > 6 * MIB and not killed:
            killed.append(asyncio.create_task(restart()))

    async with Client(full_stack.url) as client:
        uploaded = await client.upload(film, parallel=1, on_progress=on_progress)
        job = await client.submit(uploaded.input_path, "mp3")
        assert (await client.wait(job.job_id)).status is Status.COMPLETED
    await killed[0]


async def test_a_store_that_is_away_for_a_moment_costs_nothing(
    full_stack: Stack, media: MediaFiles, tmp_path: Path
) -> None:
    film = tmp_path / "big.avi"
    film.write_bytes(media.avi().read_bytes() + os.urandom(24 * MIB))
    restarted: list[asyncio.Task[None]] = []

    def on_progress(done: int, _: int | None) -> None:
        if done > 6 * MIB and not restarted:
            restarted.append(asyncio.create_task(full_stack.restart("s3")))

    async with Client(full_stack.url) as client:
        uploaded = await client.upload(film, on_progress=on_progress)
        await restarted[0]
        job = await client.submit(uploaded.input_path, "mp3")
        assert (await client.wait(job.job_id)).status is Status.COMPLETED


async def test_the_front_door_restarted_again_and_again_loses_no_event(full_stack: Stack, media: MediaFiles) -> None:
    async with Client(full_stack.url) as client:
        uploaded = await client.upload(media.avi(3, "640x360", 25))
        seen: dict[str, list[Event]] = {}

        async def convert() -> None:
            job = await client.submit(uploaded.input_path, "mp4")
            seen[job.job_id] = []
            async with client.watch([job.job_id], transports=[Transport.WEBSOCKET]) as events:
                async for event in events:
                    seen[job.job_id].append(event)

        async def disturb() -> None:
            for _ in range(3):
                await full_stack.restart("nginx")
                await asyncio.sleep(1)

        async with asyncio.timeout(300), asyncio.TaskGroup() as group:
            group.create_task(disturb())
            for _ in range(4):
                group.create_task(convert())
    for events in seen.values():
        assert events[-1].job.status is Status.COMPLETED
        seqs = [event.job.seq for event in events]
        assert seqs == sorted(set(seqs))


async def test_a_broker_restarted_while_a_job_runs_is_only_a_pause(new_stack: NewStack, media: MediaFiles) -> None:
    async with new_stack(own_broker=True) as stack:
        await stack.start("epmd")
        await stack.start("rabbitmq", "s3", "nginx", *SERVICES)
        async with Client(stack.url) as client:
            uploaded = await client.upload(media.avi(3, "640x360", 25))
            job = await client.submit(uploaded.input_path, "webm")
            events: list[Event] = []
            async with asyncio.timeout(300), client.watch([job.job_id]) as watch:
                async for event in watch:
                    events.append(event)
                    if event.job.status is Status.PROCESSING and not any(known.job.stage for known in events[:-1]):
                        await stack.restart("rabbitmq")
            assert events[-1].job.status is Status.COMPLETED
