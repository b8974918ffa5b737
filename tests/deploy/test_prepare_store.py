"""The bucket is made ready: on a store that knows little, and as told to one that writes down what it hears."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from xml.etree import ElementTree as ET

import pytest
from aiohttp import web
from pydantic import SecretStr

from deploy.docker import prepare_store
from deploy.docker.prepare_store import StoreSettings, cors, prepare
from deploy.embedded.ports import free_ports
from services.common.storage import Storage
from tests.stack import Stack

S3 = "{http://s3.amazonaws.com/doc/2006-03-01/}"


def settings(endpoint: str, **more: object) -> StoreSettings:
    return StoreSettings(
        s3_endpoint=endpoint, s3_access_key="key", s3_secret_key=SecretStr("secret"), **{"s3_bucket": "videos", **more}
    )


class Notebook:
    """An S3 store that says yes to everything about a bucket and remembers it; not yet there for the first asks."""

    def __init__(self, *, absent: int = 0, refuses: str = "") -> None:
        self.absent = absent
        self.refuses = refuses
        self.heard: list[tuple[str, str, bytes]] = []

    async def answer(self, request: web.Request) -> web.Response:
        body = await request.read()
        about = next((name for name in ("lifecycle", "cors") if name in request.query), "")
        self.heard.append((request.method, about, body))
        if self.absent > 0:
            self.absent -= 1
            return web.Response(status=503)
        if request.method == "HEAD":
            return web.Response(status=404)
        if about and about == self.refuses:
            error = "<Error><Code>NotImplemented</Code><Message>no</Message></Error>"
            return web.Response(status=501, text=error, content_type="application/xml")
        return web.Response()

    def said(self, about: str) -> bytes:
        (body,) = [body for method, what, body in self.heard if method == "PUT" and what == about]
        return body


@asynccontextmanager
async def listening(notebook: Notebook) -> AsyncIterator[str]:
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", notebook.answer)
    (port,) = free_ports(1)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port).start()
    try:
        yield f"http://127.0.0.1:{port}"
    finally:
        await runner.cleanup()


async def test_bucket_lifecycle_and_cors(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prepare_store, "_PAUSE_S", 0.0)
    notebook = Notebook()
    origins = "https://a.example.org, https://b.example.org"
    async with listening(notebook) as endpoint:
        assert await prepare(settings(endpoint, allowed_origins=origins, store_expiry_days=9))
    notebook.said("")  # the bucket itself
    rules = ET.fromstring(notebook.said("lifecycle"))
    by_prefix = {rule.findtext(f"{S3}Filter/{S3}Prefix"): rule for rule in rules}
    assert set(by_prefix) == {"uploads/", "outcomes/"}, "results stay for ever"
    assert {rule.findtext(f"{S3}Expiration/{S3}Days") for rule in rules} == {"9"}
    aborted = by_prefix["uploads/"].findtext(f"{S3}AbortIncompleteMultipartUpload/{S3}DaysAfterInitiation")
    assert aborted == "2"
    allowed = ET.fromstring(notebook.said("cors")).iter(f"{S3}AllowedOrigin")
    assert [item.text for item in allowed] == ["https://a.example.org", "https://b.example.org"]


async def test_it_waits_for_the_store(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prepare_store, "_PAUSE_S", 0.0)
    notebook = Notebook(absent=3)
    async with listening(notebook) as endpoint:
        assert await prepare(settings(endpoint))
    assert not [about for _, about, _ in notebook.heard if about == "cors"], "nobody asked for other origins"


async def test_it_gives_up_on_a_store_that_never_comes(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(prepare_store, "_PAUSE_S", 0.0)
    monkeypatch.setattr(prepare_store, "_ATTEMPTS", 2)
    (port,) = free_ports(1)
    assert not await prepare(settings(f"http://127.0.0.1:{port}"))


@pytest.mark.parametrize("refused", ["lifecycle", "cors"])
async def test_what_a_store_has_no_notion_of_is_left(refused: str):
    async with listening(Notebook(refuses=refused)) as endpoint:
        assert await prepare(settings(endpoint, allowed_origins="https://a.example.org"))


async def test_a_real_store(stack: Stack):
    own = StoreSettings(
        s3_endpoint=stack.s3.endpoint,
        s3_access_key=stack.s3.access_key,
        s3_secret_key=SecretStr(stack.s3.secret_key),
        s3_bucket="prepared",
    )
    for _ in range(2):
        assert await prepare(own)
    async with Storage(own) as storage:
        await storage.ping()


def test_origins_cannot_break_out_of_the_document():
    text = cors(['https://x"></AllowedOrigin><AllowedOrigin>*'])
    (only,) = ET.fromstring(text).iter(f"{S3}AllowedOrigin")
    assert only.text == 'https://x"></AllowedOrigin><AllowedOrigin>*'
