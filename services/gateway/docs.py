"""/openapi.json, and /docs to read it in a browser: a page of our own, which needs nothing from elsewhere."""

from functools import cache
from importlib.resources import files
from typing import Final

import orjson
from aiohttp import web

from services.gateway.openapi import document

_POLICY: Final = "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; base-uri 'none'"
_ASSETS: Final = {
    "docs.html": "text/html",
    "docs.js": "text/javascript",
    "docs.css": "text/css",
}


@cache
def _asset(name: str) -> bytes:
    return files("services.gateway").joinpath("assets", name).read_bytes()


def _answer(name: str) -> web.Response:
    headers = {"Content-Security-Policy": _POLICY, "X-Content-Type-Options": "nosniff"}
    return web.Response(body=_asset(name), content_type=_ASSETS[name], charset="utf-8", headers=headers)


async def openapi(_: web.Request) -> web.Response:
    """The OpenAPI document."""
    return web.Response(body=orjson.dumps(document()), content_type="application/json")


async def page(_: web.Request) -> web.Response:
    """The page."""
    return _answer("docs.html")


async def asset(request: web.Request) -> web.Response:
    """What the page needs."""
    name = request.match_info["name"]
    if name not in _ASSETS:
        raise web.HTTPNotFound
    return _answer(name)


def add_docs(app: web.Application) -> None:
    """Add the routes."""
    app.router.add_get("/openapi.json", openapi)
    app.router.add_get("/docs", page)
    app.router.add_get("/docs-assets/{name}", asset)
