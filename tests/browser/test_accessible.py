"""For everybody: keyboard, screen reader, small screens, dark mode."""

import pytest
from playwright.async_api import Browser, Page, expect

from tests.browser.conftest import CHECKOUT, Clips
from tests.browser.the_page import ThePage
from tests.stack import Stack

AXE = CHECKOUT / "static/node_modules/axe-core/axe.min.js"
SERIOUS = """
async () => (await axe.run()).violations
  .filter(({ impact }) => impact === "serious" || impact === "critical")
  .map(({ id, nodes }) => `${id}: ${nodes.map(({ html }) => html.slice(0, 120)).join(" | ")}`)
"""


async def check(tab: Page) -> None:
    assert await tab.evaluate(SERIOUS) == []


@pytest.mark.parametrize(
    ("scheme", "width"), [("light", 1100), ("dark", 390)], ids=["light and wide", "dark and narrow"]
)
async def test_axe_finds_nothing_serious(chromium: Browser, site: Stack, clips: Clips, scheme: str, width: int) -> None:
    context = await chromium.new_context(
        bypass_csp=True,  # axe comes in as an inline script
        color_scheme=scheme,  # type: ignore[arg-type]
        viewport={"width": width, "height": 850},
        reduced_motion="reduce",
    )
    tab = await context.new_page()
    await tab.add_init_script(path=AXE)
    page = await ThePage(tab, site.url).open()
    await check(tab)

    fine, broken = f"fine {scheme}.avi", f"broken {scheme}.avi"
    await page.choose(clips.garbage(broken), clips.short(fine))
    await page.has_job(broken, "FAILED")
    await page.has_job(fine, "COMPLETED")
    await page.button("Format and options").click()
    await page.button(f"Details of {fine}").click()
    await page.connection.click()
    await check(tab)
    assert await tab.evaluate("document.documentElement.scrollWidth") <= width, "nothing sticks out sideways"

    await page.button(f"Play {fine}").click()
    await expect(tab.locator("dialog video")).to_be_visible()
    await check(tab)
    await tab.keyboard.press("Escape")
    await page.button(f"Delete {fine}").click()
    await expect(page.button("Undo")).to_be_visible()
    await check(tab)
    await page.button("Undo").click()
    await context.close()


async def test_by_keyboard_alone(page: ThePage, clips: Clips) -> None:
    await page.open()
    await page.choose(clips.short("keys.avi"))
    await page.has_job("keys.avi", "COMPLETED")
    press = page.tab.keyboard.press

    await press("Tab")
    await expect(page.tab.get_by_role("link", name="Skip to the conversions")).to_be_focused()
    await press("Enter")
    await press("/")
    await expect(page.tab.get_by_label("Search conversions")).to_be_focused()
    await page.tab.keyboard.type("keys")
    await page.button("Play keys.avi").focus()
    await press("Enter")
    await expect(page.tab.locator("dialog")).to_be_visible()
    await press("Escape")
    await expect(page.tab.locator("dialog")).to_have_count(0)
    await expect(page.button("Play keys.avi")).to_be_focused()
