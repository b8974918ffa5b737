from collections.abc import AsyncIterator

import pytest_asyncio

from services.client import Client
from tests.unit.client.fake import FakeService


@pytest_asyncio.fixture
async def fake() -> AsyncIterator[FakeService]:
    service = FakeService()
    async with service.server:
        yield service


@pytest_asyncio.fixture
async def client(fake: FakeService) -> AsyncIterator[Client]:
    async with Client(fake.url, patience_s=5) as opened:
        yield opened
