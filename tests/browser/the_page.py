"""The page as a person uses it: its words for things, and a record of all that it showed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from playwright.async_api import Locator, Page, expect

MIB = 1 << 20

# Everything a row ever showed, in order: a test that only looks now and then would miss states that pass quickly.
RECORDER = """
window.shown = [];
new MutationObserver(() => {
  for (const row of document.querySelectorAll("li.row")) {
    const now = {
      name: row.querySelector(".name").textContent,
      status: row.dataset.status ?? "UPLOAD",
      percent: row.querySelector("[role=progressbar]")?.getAttribute("aria-valuenow") ?? null,
    };
    const last = window.shown.findLast((each) => each.name === now.name);
    if (JSON.stringify(last) !== JSON.stringify(now)) window.shown.push(now);
  }
}).observe(document, { subtree: true, childList: true, attributes: true, characterData: true });
"""

DROP = """
async ([name, type, base64]) => {
  const bytes = Uint8Array.from(atob(base64), (each) => each.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type }));
  for (const kind of ["dragenter", "dragover", "drop"]) {
    document.body.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
  }
}
"""


class ThePage:
    def __init__(self, tab: Page, url: str) -> None:
        self.tab = tab
        self.url = url

    async def open(self) -> "ThePage":
        await self.tab.add_init_script(RECORDER)
        await self.tab.goto(self.url)
        return self

    @property
    def connection(self) -> Locator:
        return self.tab.get_by_test_id("connection")

    def row(self, name: str) -> Locator:
        """The row of a file, be it an upload or a conversion."""
        return self.tab.locator("li.row").filter(has=self.tab.get_by_text(name, exact=True))

    def job(self, name: str, status: str | None = None) -> Locator:
        state = f'[data-status="{status}"]' if status else "[data-status]"
        return self.tab.locator(f"li.row{state}").filter(has=self.tab.get_by_text(name, exact=True))

    def button(self, name: str) -> Locator:
        return self.tab.get_by_role("button", name=name, exact=True)

    async def choose(self, *files: Path | dict[str, Any]) -> None:
        """Pick files by the button's dialog."""
        await self.tab.get_by_test_id("picker").set_input_files([*files])  # type: ignore[arg-type]

    async def has_job(self, name: str, status: str, seconds: float = 90) -> None:
        await expect(self.job(name, status)).to_have_count(1, timeout=seconds * 1000)

    async def shown(self, name: str, status: str | None = None) -> list[dict[str, Any]]:
        """All that the row of `name` showed so far, in order."""
        every: list[dict[str, Any]] = await self.tab.evaluate("window.shown")
        return [each for each in every if each["name"] == name and status in (None, each["status"])]

    async def percents(self, name: str, status: str) -> list[float]:
        """The percents shown, each once, in order."""
        found = [float(each["percent"]) for each in await self.shown(name, status) if each["percent"] is not None]
        return list(dict.fromkeys(found))

    @asynccontextmanager
    async def slow_upload(self, bytes_per_second: float) -> AsyncIterator[None]:
        session = await self.tab.context.new_cdp_session(self.tab)
        await session.send("Network.enable")
        conditions = {"offline": False, "latency": 0, "downloadThroughput": -1}
        await session.send("Network.emulateNetworkConditions", {**conditions, "uploadThroughput": bytes_per_second})
        yield
        await session.send("Network.emulateNetworkConditions", {**conditions, "uploadThroughput": -1})
        await session.detach()
