"""With access keys: the page asks for one, and shows nobody else's conversions."""

import re
import sys
from collections.abc import AsyncIterator

import anyio
import pytest_asyncio
from playwright.async_api import Browser, expect

from tests.browser.conftest import Clips
from tests.browser.the_page import ThePage
from tests.conftest import NewStack
from tests.stack import SERVICES, Stack


@pytest_asyncio.fixture(loop_scope="session")
async def guarded(new_stack: NewStack) -> AsyncIterator[Stack]:
    async with new_stack(env={"AUTH": "api_key"}) as stack:
        await stack.start("s3", "nginx", *SERVICES)
        yield stack


async def new_key(stack: Stack, tenant: str) -> str:
    command = [sys.executable, "-m", "services.gateway.keys", "make", tenant]
    result = await anyio.run_process(command, env=stack.env)
    match = re.search(rb"vk_[0-9a-f]{16}_[A-Za-z0-9_-]{43}", result.stdout)
    assert match, result.stdout
    return match[0].decode()


async def test_each_key_sees_its_own(guarded: Stack, chromium: Browser, clips: Clips) -> None:
    pages = []
    for tenant in ("ann", "bob"):
        context = await chromium.new_context()
        page = await ThePage(await context.new_page(), guarded.url).open()
        await page.tab.get_by_label("Your access key").fill(await new_key(guarded, tenant))
        await page.button("Sign in").click()
        await expect(page.connection).to_have_text("Live")
        pages.append(page)
    ann, bob = pages

    await ann.choose(clips.short("private.avi"))
    await ann.has_job("private.avi", "COMPLETED")
    await ann.button("Play private.avi").click()
    await expect(ann.tab.locator("dialog video")).to_have_js_property("paused", value=False)
    await bob.choose(clips.short("own.avi"))
    await bob.has_job("own.avi", "COMPLETED")
    await expect(bob.row("private.avi")).to_have_count(0)

    await bob.tab.reload()
    await bob.has_job("own.avi", "COMPLETED")
    await expect(bob.row("private.avi")).to_have_count(0)
    for page in pages:
        await page.tab.context.close()
