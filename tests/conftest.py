"""Fixtures for the tests that need the real broker, store, front door, services or media.

stack        the session's broker, store and front door, on free ports in a temporary directory
own_stack    one module's own store, front door and vhost of the session's broker; start services as you need them
full_stack   the same with gateway, notifier and transcoder running
new_stack    a factory of the same, for one test: `async with new_stack(env={...}, own_broker=True) as stack`
media        small clips, made once a session
"""

import signal
import time
from collections.abc import AsyncIterator, Callable, Generator
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from itertools import count
from pathlib import Path

import pytest
import pytest_asyncio

from tests import service_logs
from tests.media_files import MediaFiles
from tests.stack import SERVICES, Stack, make_stack, stacks_made

NewStack = Callable[..., AbstractAsyncContextManager[Stack]]

# With several workers the files that wait the most go first, and the quick ones fill the gaps at the end.
ORDER = ("faults", "browser", "integration", "deploy", "media", "unit")
_BEGUN = pytest.StashKey[float]()


def pytest_configure() -> None:
    # What is started in the background by a shell without job control ignores these, and so would all that it starts.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGQUIT, signal.SIG_DFL)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if hasattr(config, "workerinput"):
        items.sort(key=lambda item: ORDER.index(item.path.relative_to(Path(__file__).parent).parts[0]))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    item.stash[_BEGUN] = time.time()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Below a failure stands what the services wrote in the meantime."""
    report = yield
    if report.failed:
        report.sections += service_logs.sections(_logs_of(item), since=item.stash[_BEGUN])
    return report


def _logs_of(item: pytest.Item) -> set[Path]:
    """The logs of the stacks that the test made or was given, and those in its own directory."""
    shares = "stack" in getattr(item, "fixturenames", ())
    used = [stack for stack in stacks_made if shares or stack.made_at >= item.stash[_BEGUN]]
    logs = {log for stack in used for log in stack.settings.layout.logs.glob("*.log*")}
    own: Path | None = getattr(item, "funcargs", {}).get("tmp_path")
    return logs | set(own.rglob("logs/*.log*") if own else ())


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
def new_stack(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> NewStack:
    """`new_stack(own_broker=False, env=None)`: a stack with nothing started, the broker aside."""
    numbers = count(1)

    @asynccontextmanager
    async def make(*, own_broker: bool = False, env: dict[str, str] | None = None) -> AsyncIterator[Stack]:
        data_dir = tmp_path_factory.mktemp(f"new-stack-{next(numbers)}")
        async with make_stack(data_dir, broker=None if own_broker else stack, env=env) as made:
            yield made

    return make


@pytest.fixture(scope="session")
def media(tmp_path_factory: pytest.TempPathFactory) -> MediaFiles:
    return MediaFiles(tmp_path_factory.mktemp("media"))
