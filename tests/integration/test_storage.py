"""The store's adapter where the network is not kind."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiohttp import web
from aiohttp.test_utils import TestServer

from services.common.settings import CommonSettings
from services.common.storage import ObjectTooLargeError, Storage

BODY = b"x" * 512 + b"y" * 201


@pytest_asyncio.fixture
async def storage() -> AsyncIterator[Storage]:
    """A store that sends its object in two pieces, the second when the first has long been read."""

    async def dribble(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": str(len(BODY))})
        await response.prepare(request)
        await response.write(BODY[:512])
        for _ in range(100):
            await asyncio.sleep(0)  # the reader lives in the same loop
        await response.write(BODY[512:])
        return response

    app = web.Application()
    app.router.add_get("/{path:.*}", dribble)
    async with TestServer(app) as server:
        endpoint = f"http://127.0.0.1:{server.port}"
        async with Storage(CommonSettings(s3_endpoint=endpoint)) as storage:
            yield storage


async def test_an_object_that_comes_in_pieces_is_whole(storage: Storage) -> None:
    assert await storage.get("outcomes/one.json") == BODY


async def test_an_object_over_the_limit_is_refused(storage: Storage) -> None:
    with pytest.raises(ObjectTooLargeError):
        await storage.get("outcomes/one.json", max_size=600)
