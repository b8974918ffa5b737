"""Files on their way in: several at once, paused, cut off, reloaded, of any name."""

import re

from playwright.async_api import Request, expect

from tests.browser.conftest import Clips
from tests.browser.the_page import MIB, ThePage
from tests.stack import eventually

HOSTILE = "<img src=x onerror=alert(1)> \u202e\"quoted\" & 'so' %d 動画.avi"


def companion_calls(page: ThePage) -> list[str]:
    """What is asked of the upload API from now on, ids and keys left out: `POST /s3/multipart`, …"""
    calls: list[str] = []

    def note(request: Request) -> None:
        match = re.search(r"/api(/s3/multipart)(/[^/?]+)?(/[^?]+)?", request.url)
        if match:
            upload, rest = "/{id}" if match[2] else "", match[3] or ""
            calls.append(f"{request.method} {match[1]}{upload}{rest}")

    page.tab.on("request", note)
    return calls


async def sent(page: ThePage, name: str, percent: int) -> None:
    """Wait until that much of the upload has arrived."""
    await eventually(lambda: _sent(page, name, percent))


async def _sent(page: ThePage, name: str, percent: int) -> bool:
    return max(await page.percents(name, "UPLOAD"), default=0) >= percent


async def test_several_files_at_once_and_one_of_them_no_video(page: ThePage, clips: Clips) -> None:
    await page.open()
    names = ["one.avi", "two.avi", "three.avi"]
    await page.choose(*map(clips.short, names), clips.garbage("garbage.mp4"))

    for name in names:
        await page.has_job(name, "COMPLETED")
    await page.has_job("garbage.mp4", "FAILED")
    await expect(page.row("garbage.mp4")).to_contain_text("not a video or audio file we can read")
    await expect(page.button("Try again: garbage.mp4")).to_be_visible()

    await page.tab.get_by_label("Search conversions").fill("garbage")
    await expect(page.tab.locator("li.row")).to_have_count(1)
    await page.tab.get_by_label("Search conversions").fill("")
    await page.tab.get_by_role("radio", name="Failed").check()
    await expect(page.row("garbage.mp4")).to_be_visible()
    await expect(page.row("one.avi")).to_have_count(0)


async def test_an_upload_goes_on_after_a_reload(page: ThePage, clips: Clips) -> None:
    await page.open()
    calls = companion_calls(page)
    name = "reloaded.avi"
    async with page.slow_upload(4 * MIB):
        await page.choose(clips.large(name))
        await sent(page, name, 45)  # the first of its three parts is there
        await page.tab.reload()
        await expect(page.row(name)).to_contain_text("Uploading")
    await page.has_job(name, "COMPLETED")

    assert calls.count("POST /s3/multipart") == 1, "it was not begun a second time"
    assert calls.count("GET /s3/multipart/{id}") == 1, "it asked what had arrived"
    parts = [call.removeprefix("GET /s3/multipart/{id}/") for call in calls if call.endswith(("/1", "/2", "/3"))]
    assert parts.count("1") == 1, "what had arrived was not sent again"


async def test_pause_resume_and_cancel(page: ThePage, clips: Clips) -> None:
    await page.open()
    calls = companion_calls(page)
    name = "paused.avi"
    async with page.slow_upload(2 * MIB):
        await page.choose(clips.large(name))
        await sent(page, name, 1)
        await page.button(f"Pause {name}").click()
        await expect(page.row(name)).to_contain_text("Paused")
        await page.button(f"Resume {name}").click()
        await expect(page.row(name)).to_contain_text("Uploading")
        async with page.tab.expect_response(lambda answer: answer.request.method == "DELETE") as deleted:
            await page.button(f"Cancel the upload of {name}").click()
    assert (await deleted.value).ok
    await expect(page.row(name)).to_have_count(0)
    assert calls[-1] == "DELETE /s3/multipart/{id}", "the store was told to forget the parts"
    assert not any(call.endswith("complete") for call in calls)


async def test_an_upload_goes_on_when_the_connection_is_back(page: ThePage, clips: Clips) -> None:
    await page.open()
    name = "cut off.avi"
    async with page.slow_upload(4 * MIB):
        await page.choose(clips.large(name))
        await sent(page, name, 20)
        await page.tab.context.set_offline(True)
        await expect(page.row(name)).to_contain_text("Connection lost")
        await page.tab.context.set_offline(False)
    await page.has_job(name, "COMPLETED")


async def test_a_hostile_file_name_is_text(page: ThePage, clips: Clips) -> None:
    dialogs: list[str] = []

    async def opened(dialog: object) -> None:
        dialogs.append(str(dialog))

    page.tab.on("dialog", opened)
    await page.open()
    await page.choose(clips.short(HOSTILE))
    await page.has_job(HOSTILE, "COMPLETED")
    await expect(page.row(HOSTILE).locator("img[src=x]")).to_have_count(0)
    async with page.tab.expect_download() as download:
        await page.button(f"Download {HOSTILE}").click()
    assert (await download.value).suggested_filename.endswith("動画.mp4")
    await page.button(f"Play {HOSTILE}").click()
    await expect(page.tab.locator("dialog h2")).to_have_text(HOSTILE.removesuffix(".avi") + ".mp4")
    assert dialogs == []


async def test_a_file_has_a_format_and_options_of_its_own(page: ThePage, clips: Clips) -> None:
    await page.open()
    await page.tab.get_by_role("switch", name="Start when uploaded").uncheck()
    await page.choose(clips.short("song.avi"))
    row = page.row("song.avi")
    await expect(row).to_contain_text("Uploaded, to become MP4")
    await page.tab.get_by_label("Format for song.avi").select_option("mp3")
    await page.button("Options for song.avi").click()
    await row.get_by_label("End at").fill("0:01")
    await row.get_by_label("End at").blur()
    await row.get_by_text("Advanced").click()
    await row.get_by_label("Channels").select_option("1")
    async with page.tab.expect_request(lambda request: request.url.endswith("/api/jobs")) as asked:
        await page.button("Convert").click()
    wish = (await asked.value).post_data_json
    assert wish["output_format"] == "mp3"
    assert wish["options"] == {"trim": {"end_s": 1}, "audio": {"channels": 1}}
    await page.has_job("song.avi", "COMPLETED")
