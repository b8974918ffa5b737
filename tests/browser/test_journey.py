"""From a dropped file to the download, over each of the ways that news can arrive."""

import base64
from pathlib import Path

import anyio
import pytest
from playwright.async_api import Page, WebSocketRoute, expect

from tests.browser.conftest import Clips
from tests.browser.the_page import DROP, ThePage
from tests.media_files import ffprobe

SEEK = """
async (video) => {
  const answer = await fetch(video.currentSrc, { headers: { Range: "bytes=1000-1999" } });
  await new Promise((done) => { video.onseeked = done; video.currentTime = video.duration * 0.75; });
  const size = (await answer.arrayBuffer()).byteLength;
  return { status: answer.status, size, at: video.currentTime / video.duration };
}
"""


async def block(tab: Page, *, sockets: bool = False, events: bool = False) -> None:
    """As some company's proxy would."""

    async def refuse(socket: WebSocketRoute) -> None:
        await socket.close(code=1011)

    if sockets:
        await tab.route_web_socket("**/ws", refuse)
    if events:
        await tab.route("**/events*", lambda route: route.abort())


@pytest.mark.parametrize(
    ("blocked", "connection"),
    [({}, "Live"), ({"sockets": True}, "Live (SSE)"), ({"sockets": True, "events": True}, "Polling")],
    ids=["websocket", "sse", "polling"],
)
async def test_the_whole_journey(
    page: ThePage, clips: Clips, tmp_path: Path, blocked: dict[str, bool], connection: str
) -> None:
    await block(page.tab, **blocked)
    await page.open()
    await expect(page.connection).to_have_text(connection)
    name = f"Holiday {connection}.avi"

    # Who looks every other second sees a film on its way only if that takes a few.
    seconds = 12 if connection == "Polling" else 4
    film = clips.long(name, seconds)
    async with page.slow_upload(film.stat().st_size / 1.5):
        await drop(page, film, name)
        await page.has_job(name, "PROCESSING")
    await page.has_job(name, "COMPLETED")

    assert len(await page.percents(name, "UPLOAD")) > 2, "the upload was seen to move"
    states = list(dict.fromkeys(each["status"] for each in await page.shown(name)))
    assert states == ["UPLOAD", "QUEUED", "PROCESSING", "COMPLETED"]
    percents = await page.percents(name, "PROCESSING")
    assert percents == sorted(percents)
    # Pushed twice a second, and the fastest machines need little more than one.
    assert len(percents) >= (1 if connection == "Polling" else 2)

    await watch(page, name)
    async with page.tab.expect_download() as download:
        await page.button("Download").last.click()
    assert (await download.value).suggested_filename == f"Holiday {connection}.mp4"
    await (await download.value).save_as(tmp_path / "result.mp4")
    assert float(ffprobe(tmp_path / "result.mp4")["format"]["duration"]) == pytest.approx(seconds, abs=0.2)
    await page.tab.keyboard.press("Escape")
    await expect(page.button(f"Play {name}")).to_be_focused()


async def drop(page: ThePage, path: Path, name: str) -> None:
    content = await anyio.Path(path).read_bytes()
    await page.tab.evaluate(DROP, [name, "video/x-msvideo", base64.b64encode(content).decode()])


async def watch(page: ThePage, name: str) -> None:
    """Play it in the page, and jump ahead."""
    await page.button(f"Play {name}").click()
    video = page.tab.locator("dialog video")
    await expect(video).to_have_js_property("paused", value=False)
    await video.evaluate("(video) => new Promise((done) => { video.ontimeupdate = () => video.currentTime && done() })")
    assert await video.evaluate("(video) => [video.videoWidth, video.videoHeight]") == [1280, 720]
    sought = await video.evaluate(SEEK)
    assert sought["status"] == 206
    assert sought["size"] == 1000
    assert sought["at"] == pytest.approx(0.75, abs=0.1)
