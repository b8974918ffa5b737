"""POST /jobs/plan, from the gateway over the broker to a transcoder and back."""

from pathlib import Path
from typing import Any

import pytest_asyncio
from aiohttp import ClientSession

from tests.integration.broker_client import watching
from tests.media_files import MediaFiles
from tests.stack import Stack


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def system(own_stack: Stack) -> Stack:
    await own_stack.start("gateway", "transcoder")
    return own_stack


async def ask(stack: Stack, source: Path | None, **body: Any) -> tuple[int, dict[str, Any]]:
    async with watching(stack) as watcher, ClientSession() as http:
        key = await watcher.put(source) if source else "uploads/nowhere.mp4"
        async with http.post(f"{stack.gateway_url}/jobs/plan", json={"input_path": key} | body) as response:
            answer = response.status, await response.json()
        async with http.get(f"{stack.gateway_url}/jobs") as response:
            assert (await response.json())["jobs"] == []
        return answer


async def test_a_plan_says_what_would_be_done_with_each_stream_and_why(system: Stack, media: MediaFiles):
    status, answer = await ask(system, media.avi(4, "320x240", 25), output_format="mp4")
    assert status == 200, answer
    assert [(s["type"], s["action"], s["target"]) for s in answer["plan"]["streams"]] == [
        ("video", "encode", "h264"),
        ("audio", "encode", "aac"),
    ]
    assert all(stream["reason"] for stream in answer["plan"]["streams"])
    assert answer["estimated_size"] > 0
    assert answer["estimated_s"] > 0


async def test_streams_that_fit_are_planned_as_copies(system: Stack, media: MediaFiles):
    status, answer = await ask(system, media.mp4(), output_format="mp4")
    assert status == 200, answer
    assert {stream["action"] for stream in answer["plan"]["streams"]} == {"copy"}


async def test_a_file_that_is_no_media_is_refused_with_a_reason(system: Stack, media: MediaFiles):
    status, answer = await ask(system, media.garbage(), output_format="mp4")
    assert status == 422
    assert answer["errors"][0]["field"] == "input_path"


async def test_a_video_of_a_sound_is_refused_by_its_format(system: Stack, media: MediaFiles):
    status, answer = await ask(system, media.wav(), output_format="mp4")
    assert (status, answer["errors"][0]["field"]) == (422, "output_format")


async def test_a_missing_upload_and_impossible_wishes_are_refused_before_anybody_is_asked(
    system: Stack, media: MediaFiles
):
    assert (await ask(system, None, output_format="mp4"))[0] == 404
    status, answer = await ask(system, media.mp4(), output_format="mp4", options={"max_height": -1})
    assert (status, answer["errors"][0]["field"]) == (422, "options.max_height")


async def test_with_no_transcoder_it_says_so_at_once(system: Stack, media: MediaFiles):
    await system.stop("transcoder")
    status, answer = await ask(system, media.mp4(), output_format="mp4")
    assert (status, "transcoder" in answer["detail"]) == (503, True)
