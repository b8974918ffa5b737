"""Fixtures for the tests that need the real broker, store, front door, services or media.

stack        the session's broker, store and front door, on free ports in a temporary directory
own_stack    one module's own store, front door and vhost of the session's broker; start services as you need them
full_stack   the same with gateway, notifier and transcoder running
new_stack    a factory of the same, for one test: `async with new_stack(env={...}, own_broker=True) as stack`
media        small clips, made once a session
"""

from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count

import pytest
import pytest_asyncio

from tests.media_files import MediaFiles
from tests.stack import SERVICES, Stack, make_stack

NewStack = Callable[..., AbstractAsyncContextManager[Stack]]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def stack(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with make_stack(tmp_path_factory.mktemp("stack")) as running:
        await running.start("epmd")
        await running.start("rabbitmq", "s3", "nginx")
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def own_stack(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with make_stack(tmp_path_factory.mktemp("own-stack"), broker=stack) as running:
        await running.start("s3", "nginx")
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def full_stack(own_stack: Stack) -> Stack:
    await own_stack.start(*SERVICES)
    return own_stack


@pytest.fixture
def new_stack(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> NewStack:
    """`new_stack(own_broker=False, env=None)`: a stack with nothing started, the broker aside."""
    shared: Stack = request.getfixturevalue("stack")
    numbers = count(1)

    @asynccontextmanager
    async def make(*, own_broker: bool = False, env: dict[str, str] | None = None) -> AsyncIterator[Stack]:
        data_dir = tmp_path_factory.mktemp(f"new-stack-{next(numbers)}")
        async with make_stack(data_dir, broker=None if own_broker else shared, env=env) as made:
            yield made

    return make


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> MediaFiles:
    return MediaFiles(tmp_path_factory.mktemp("media"))
