"""Chromium and the whole system, once a session; a fresh window and a clean record for each test."""

import shutil
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from playwright.async_api import Browser, BrowserContext, Page, async_playwright, expect

from tests.browser.the_page import ThePage
from tests.media_files import MediaFiles
from tests.stack import SERVICES, Stack, make_stack

CHECKOUT = Path(__file__).parents[2]
FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def site(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    """The system as `make up` runs it, with one thread an encoder so that progress can be watched."""
    assert (CHECKOUT / "static/dist/index.html").exists(), "build the page first: cd static && npm ci && npm run build"
    env = {"FFMPEG_THREADS": "1"}
    async with make_stack(tmp_path_factory.mktemp("site"), broker=stack, env=env) as running:
        await running.start("s3", "nginx", *SERVICES)
        yield running


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def chromium() -> AsyncIterator[Browser]:
    path = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
    assert path, "install Chromium: apt-get install chromium"
    expect.set_options(timeout=60_000)
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=path, args=list(FLAGS))
        yield browser
        await browser.close()


@pytest_asyncio.fixture(loop_scope="session")
async def window(chromium: Browser) -> AsyncIterator[BrowserContext]:
    """A browser of its own for the test, in English and with nothing remembered."""
    context = await chromium.new_context(locale="en-GB", viewport={"width": 1100, "height": 850})
    context.set_default_timeout(60_000)
    yield context
    await context.close()


@pytest_asyncio.fixture(loop_scope="session")
async def page(window: BrowserContext, site: Stack) -> AsyncIterator[ThePage]:
    """The page, opened; what it complains about to the console ends the test."""
    complaints: list[str] = []
    tab: Page = await window.new_page()
    tab.on("pageerror", lambda error: complaints.append(str(error)))
    tab.on("console", lambda line: complaints.append(line.text) if "Content Security Policy" in line.text else None)
    yield ThePage(tab, site.url)
    assert complaints == []


@pytest.fixture(scope="session")
def clips(media: MediaFiles) -> "Clips":
    return Clips(media)


class Clips:
    """Files to drop on the page, each by the name that a test gives it."""

    def __init__(self, media: MediaFiles) -> None:
        self._media = media

    def short(self, name: str) -> dict[str, Any]:
        """Hardly any work, and any name at all."""
        return {"name": name, "mimeType": "video/x-msvideo", "buffer": self._media.avi(2).read_bytes()}

    def garbage(self, name: str) -> dict[str, Any]:
        """No media of any kind."""
        return {"name": name, "mimeType": "video/mp4", "buffer": self._media.garbage().read_bytes()}

    def long(self, name: str, seconds: float = 4) -> Path:
        """Some seconds of work for one thread, so that its progress can be watched."""
        return self._as(name, self._media.avi(seconds, "1280x720", 25))

    def large(self, name: str) -> Path:
        """Three parts of an upload, and little work to convert."""
        source = ("-f", "lavfi", "-i", "testsrc=s=320x240:r=10:d=12")
        return self._as(name, self._media.make("three-parts.avi", *source, "-c:v", "rawvideo", "-pix_fmt", "yuv420p"))

    def _as(self, name: str, path: Path) -> Path:
        """`path` by a name of the test's own, for all tests see the same list of jobs."""
        link = path.with_name(name)
        link.hardlink_to(path)
        return link
