"""The gateway by itself, on the real broker and store: what a client can do with it."""

import re
from typing import Any

import aiohttp
import pytest
import pytest_asyncio

from tests.stack import Stack

pytestmark = pytest.mark.asyncio(loop_scope="session")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def api(own_stack: Stack) -> Any:
    await own_stack.start("gateway")
    async with aiohttp.ClientSession(own_stack.gateway_url) as session:
        yield session


async def uploaded(api: aiohttp.ClientSession, body: bytes = b"not a video", **wanted: Any) -> str:
    async with api.post("/upload/request", json={"filename": "holiday.AVI", **wanted}) as answer:
        assert answer.status == 201, await answer.text()
        upload = await answer.json()
    assert re.fullmatch(r"uploads/[0-9a-f-]{36}\.avi", upload["input_path"])
    async with (
        aiohttp.ClientSession() as outside,
        outside.put(upload["url"], data=body, headers=upload["headers"]) as answer,
    ):
        assert answer.status == 200, await answer.text()
    return upload["input_path"]


async def test_from_upload_to_queued_job(api: aiohttp.ClientSession, own_stack: Stack) -> None:
    input_path = await uploaded(api, size=11, content_type="video/x-msvideo")
    wanted = {"input_path": input_path, "output_format": "mp4", "filename": 'Ünï"code\r\n日本.avi'}
    async with api.post("/jobs", json=wanted) as answer:
        assert answer.status == 201
        job = await answer.json()
        assert answer.headers["Location"] == f"/jobs/{job['job_id']}"
    assert job["status"] == "QUEUED"
    assert job["filename"] == wanted["filename"]
    assert job["output_path"] == f"processed/{job['job_id']}.mp4"
    async with api.get(f"/jobs/{job['job_id']}") as answer:
        assert answer.status == 200
        assert await answer.json() == job
        tag = answer.headers["ETag"]
    async with api.get(f"/jobs/{job['job_id']}", headers={"If-None-Match": tag}) as answer:
        assert answer.status == 304
    async with api.get("/jobs", params={"limit": 1}) as answer:
        assert (await answer.json())["jobs"] == [job]
    async with api.get(f"/jobs/{job['job_id']}/download") as answer:
        assert answer.status == 409


async def test_formats(api: aiohttp.ClientSession) -> None:
    async with api.get("/formats") as answer:
        assert "mp4" in [fmt["name"] for fmt in (await answer.json())["formats"]]


async def test_health_and_metrics(api: aiohttp.ClientSession) -> None:
    async with api.get("/healthz") as answer:
        assert answer.status == 200
    async with api.get("/readyz") as answer:
        assert answer.status == 200, await answer.text()
    async with api.get("/metrics") as answer:
        text = await answer.text()
    assert "api_requests_total" in text
