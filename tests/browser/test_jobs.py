"""Conversions in the list: through reloads and restarts, cancelled, tried again, deleted and not deleted."""

import re

from playwright.async_api import expect

from tests.browser.conftest import Clips
from tests.browser.the_page import ThePage
from tests.stack import Stack

ELSEWHERE = """
Object.defineProperty(document, "visibilityState", { get: () => "hidden" });
window.told = [];
window.Notification = class { static permission = "granted"; constructor(title) { window.told.push(title); } };
"""


async def test_a_reload_in_mid_job_finds_it_again(page: ThePage, clips: Clips) -> None:
    await page.open()
    await page.choose(clips.long("reload.avi", 6))
    await page.has_job("reload.avi", "PROCESSING")
    await page.tab.reload()
    await page.has_job("reload.avi", "COMPLETED")
    percents = await page.percents("reload.avi", "PROCESSING")
    assert percents, "it was still at work after the reload"
    assert percents == sorted(percents)


async def test_the_notifier_restarts_in_mid_job(page: ThePage, clips: Clips, site: Stack) -> None:
    await page.open()
    await page.choose(clips.long("restart.avi", 6))
    await page.has_job("restart.avi", "PROCESSING")
    await site.stop("notifier")
    await expect(page.connection).not_to_have_text("Live")
    await site.start("notifier")
    await page.has_job("restart.avi", "COMPLETED")
    await expect(page.connection).to_have_text("Live")
    percents = await page.percents("restart.avi", "PROCESSING")
    assert percents == sorted(percents)


async def test_the_broker_restarts_in_mid_job(page: ThePage, clips: Clips, stack: Stack) -> None:
    await page.open()
    await page.choose(clips.long("broker.avi"))
    await page.has_job("broker.avi", "PROCESSING")
    await stack.restart("rabbitmq")
    await page.has_job("broker.avi", "COMPLETED")
    await expect(page.connection).to_have_text("Live")
    assert len(await page.shown("broker.avi", "COMPLETED")) == 1


async def test_cancel_and_try_again(page: ThePage, clips: Clips) -> None:
    await page.open()
    await page.choose(clips.long("second thoughts.avi"))
    await page.has_job("second thoughts.avi", "PROCESSING")
    await page.button("Cancel second thoughts.avi").click()
    await page.has_job("second thoughts.avi", "CANCELLED")
    # At once, while the first attempt is still being put away.
    await page.button("Try again: second thoughts.avi").click()
    await page.has_job("second thoughts.avi", "PROCESSING")
    await page.button("Cancel second thoughts.avi").click()
    await page.has_job("second thoughts.avi", "CANCELLED")


async def test_delete_can_be_undone_until_it_is_done(page: ThePage, clips: Clips) -> None:
    await page.open()
    await page.choose(clips.short("keep.avi"), clips.short("drop.avi"))
    await page.has_job("keep.avi", "COMPLETED")
    await page.has_job("drop.avi", "COMPLETED")

    await page.button("Delete keep.avi").click()
    await expect(page.row("keep.avi")).to_have_count(0)
    await page.button("Undo").click()
    await expect(page.row("keep.avi")).to_be_visible()

    await page.button("Delete drop.avi").click()
    async with page.tab.expect_response(lambda answer: answer.request.method == "DELETE") as deleted:
        await page.button("Dismiss").click()
    assert (await deleted.value).status == 204
    await page.tab.reload()
    await expect(page.row("keep.avi")).to_be_visible()
    await expect(page.row("drop.avi")).to_have_count(0)


async def test_details_say_what_was_done_and_why(page: ThePage, clips: Clips) -> None:
    await page.open()
    await page.choose(clips.short("plan.avi"))
    await page.has_job("plan.avi", "COMPLETED")
    await page.button("Details of plan.avi").click()
    plan = page.row("plan.avi").get_by_role("table")
    await expect(plan).to_contain_text("H.264")
    await expect(plan).to_contain_text("Encoded")
    await page.button("Convert again…").click()
    await page.tab.locator("dialog").get_by_label("Format", exact=True).select_option("gif")
    await page.tab.locator("dialog").get_by_role("button", name="Convert", exact=True).click()
    await expect(page.job("plan.avi")).to_have_count(2)
    await expect(page.job("plan.avi", "COMPLETED")).to_have_count(2)


async def test_a_finished_job_has_a_thumbnail(page: ThePage, clips: Clips) -> None:
    await page.open()
    await page.choose(clips.short("thumbnail.avi"))
    await page.has_job("thumbnail.avi", "COMPLETED")
    picture = page.row("thumbnail.avi").locator("img")
    await expect(picture).to_have_js_property("complete", value=True)
    assert await picture.evaluate("(image) => image.naturalWidth > 0 && new URL(image.src).pathname.endsWith('.jpg')")


async def test_who_looks_elsewhere_is_notified(page: ThePage, clips: Clips) -> None:
    await page.tab.context.grant_permissions(["notifications"], origin=page.url)
    await page.tab.add_init_script(ELSEWHERE)
    await page.open()
    await page.choose(clips.short("notified.avi"), clips.garbage("not notified.mp4"))
    await page.has_job("notified.avi", "COMPLETED")
    await page.has_job("not notified.mp4", "FAILED")
    told = await page.tab.evaluate("window.told")
    assert sorted(line for line in told if "notified" in line) == [
        "not notified.mp4 could not be converted",
        "notified.avi is ready",
    ]
    await expect(page.tab).to_have_title(re.compile(r"^✓ \d+ ready — Cloud Video Conversion"))


async def test_the_title_tells_a_background_tab(page: ThePage, clips: Clips) -> None:
    await page.open()
    await page.choose(clips.long("title.avi"))
    await expect(page.tab).to_have_title(re.compile(r"^[1-9][0-9]?% · title\.avi"))
    await page.button("Cancel title.avi").click()
    await expect(page.tab).to_have_title("Cloud Video Conversion")
