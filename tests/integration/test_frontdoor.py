"""nginx as configured, in front of the real store and of stand-ins for gateway and notifier."""

import json
import os
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from io import BytesIO
from urllib.parse import urlsplit

import aiohttp
import pytest
from aiohttp import web
from miniopy_async import Minio
from yarl import URL

from tests.stack import Stack, eventually

CONTENT = bytes(range(256)) * 40
SIZE = len(CONTENT)


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as session:
        yield session


@pytest.fixture
async def backend(own_stack: Stack) -> AsyncIterator[web.Application]:
    """Tells what it was asked, on the ports of the gateway and of the notifier."""

    async def tell(request: web.Request) -> web.StreamResponse:
        if request.headers.get("Upgrade") == "websocket":
            socket = web.WebSocketResponse()
            await socket.prepare(request)
            await socket.send_str(f"hello {request.query_string}")
            await socket.receive()
            return socket
        return web.json_response({"target": request.raw_path, "headers": dict(request.headers)})

    application = web.Application()
    application.router.add_route("*", "/{rest:.*}", tell)
    runner = web.AppRunner(application)
    await runner.setup()
    for port in (own_stack.settings.gateway_port, own_stack.settings.notifier_port):
        await web.TCPSite(runner, "127.0.0.1", port).start()
    yield application
    await runner.cleanup()


def signer(stack: Stack) -> Minio:
    """Signs for the outside name, as the gateway does; it makes no connection itself."""
    outside = urlsplit(stack.s3.public_endpoint)
    return Minio(
        outside.netloc,
        access_key=stack.s3.access_key,
        secret_key=stack.s3.secret_key,
        secure=False,
        region=stack.s3.region,
    )


async def put_url(stack: Stack, key: str) -> str:
    url: str = await signer(stack).presigned_put_object(stack.s3.bucket, key, expires=timedelta(minutes=5))
    return url


async def get_url(stack: Stack, key: str, **headers: str) -> str:
    url: str = await signer(stack).presigned_get_object(
        stack.s3.bucket, key, expires=timedelta(minutes=5), response_headers=headers or None
    )
    return url


@pytest.fixture
async def film(own_stack: Stack, http: aiohttp.ClientSession) -> str:
    async with http.put(await put_url(own_stack, "processed/film.mp4"), data=CONTENT) as answer:
        assert answer.status == 200
    return await get_url(own_stack, "processed/film.mp4")


@pytest.mark.parametrize(
    ("asked", "content", "told"),
    [
        ("bytes=0-", CONTENT, f"bytes 0-{SIZE - 1}/{SIZE}"),
        ("bytes=0-0", CONTENT[:1], f"bytes 0-0/{SIZE}"),
        ("bytes=1000-1999", CONTENT[1000:2000], f"bytes 1000-1999/{SIZE}"),
        (f"bytes={SIZE - 5}-", CONTENT[-5:], f"bytes {SIZE - 5}-{SIZE - 1}/{SIZE}"),
        ("bytes=-100", CONTENT[-100:], f"bytes {SIZE - 100}-{SIZE - 1}/{SIZE}"),
        (f"bytes=10-{SIZE * 2}", CONTENT[10:], f"bytes 10-{SIZE - 1}/{SIZE}"),
    ],
)
async def test_a_player_that_seeks_gets_206_and_just_that_part(
    film: str, http: aiohttp.ClientSession, asked: str, content: bytes, told: str
) -> None:
    async with http.get(film, headers={"Range": asked}) as answer:
        assert answer.status == 206
        assert answer.headers["Content-Range"] == told
        assert int(answer.headers["Content-Length"]) == len(content)
        assert await answer.read() == content


async def test_whole_objects_and_impossible_ranges(film: str, http: aiohttp.ClientSession) -> None:
    async with http.get(film) as answer:
        assert (answer.status, await answer.read()) == (200, CONTENT)
        etag = answer.headers["ETag"]
    async with http.get(film, headers={"Range": f"bytes={SIZE}-"}) as answer:
        assert answer.status == 416
    async with http.get(film, headers={"Range": "bytes=0-9", "If-Range": etag}) as answer:
        assert answer.status == 206
    async with http.get(film, headers={"Range": "bytes=0-9", "If-Range": '"older"'}) as answer:
        assert answer.status == 200


async def test_names_with_odd_characters_keep_their_signatures(own_stack: Stack, http: aiohttp.ClientSession) -> None:
    key = "uploads/a b+c&d 視頻%41é.mp4"
    async with http.put(await put_url(own_stack, key), data=b"x") as answer:
        assert answer.status == 200, await answer.text()
    disposition = "attachment; filename*=UTF-8''%E8%A6%96.mp4"
    url = await get_url(own_stack, key, **{"response-content-disposition": disposition})
    async with http.get(url) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Disposition"] == disposition
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]


async def test_an_upload_is_streamed_to_the_store_and_not_kept_on_the_way(
    own_stack: Stack, http: aiohttp.ClientSession
) -> None:
    async def body() -> AsyncIterator[bytes]:
        for _ in range(8):
            yield bytes(1 << 20)
        # More than any buffer is under way now, so a proxy that keeps it would have it in a file.
        kept = own_stack.settings.layout.nginx / "tmp" / "body"
        assert not [path for path in kept.rglob("*") if path.is_file()]
        yield bytes(1 << 20)

    url = await put_url(own_stack, "uploads/large.mp4")
    async with http.put(url, data=body(), headers={"Content-Length": str(9 << 20)}) as answer:
        assert answer.status == 200
    store = Minio(
        urlsplit(own_stack.s3.endpoint).netloc,
        access_key=own_stack.s3.access_key,
        secret_key=own_stack.s3.secret_key,
        secure=False,
        region=own_stack.s3.region,
    )
    await store.put_object(own_stack.s3.bucket, "uploads/inside", BytesIO(b"1"), 1)
    assert (await store.stat_object(own_stack.s3.bucket, "uploads/large.mp4")).size == 9 << 20
    await store.close_session()


async def test_signatures_and_tickets_are_in_no_log(own_stack: Stack, film: str, http: aiohttp.ClientSession) -> None:
    signature = urlsplit(film).query
    marker = f"canary-{os.getpid()}"
    await (await http.get(film)).read()
    # With nobody behind it, which nginx would tell with the whole request line if it were let.
    async with http.get(
        f"{own_stack.url}/events?ticket={marker}", headers={"Referer": f"http://x/?{marker}"}
    ) as answer:
        assert answer.status == 503
    await eventually(lambda: '"path":"/events"' in own_stack.log("nginx"))
    assert marker not in own_stack.log("nginx")
    assert signature not in own_stack.log("nginx")
    assert "X-Amz" not in own_stack.log("nginx")
    for line in own_stack.log("nginx").splitlines():
        json.loads(line)


async def test_the_api_gets_the_path_as_it_was_sent_without_its_prefix(
    own_stack: Stack, backend: web.Application, http: aiohttp.ClientSession
) -> None:
    url = URL(f"{own_stack.url}/api/s3/multipart/a%2Fb%20c?key=x%2Fy&z=1", encoded=True)
    async with http.get(url, headers={"X-Request-ID": "request-0001"}) as answer:
        told = await answer.json()
    assert told["target"] == "/s3/multipart/a%2Fb%20c?key=x%2Fy&z=1"
    outside = urlsplit(own_stack.url).netloc
    assert told["headers"]["X-Forwarded-Host"] == outside
    assert told["headers"]["Host"] == outside
    assert told["headers"]["X-Forwarded-Proto"] == "http"
    assert told["headers"]["X-Request-ID"] == "request-0001"


async def test_a_request_id_is_made_where_none_or_a_strange_one_came(
    own_stack: Stack, backend: web.Application, http: aiohttp.ClientSession
) -> None:
    async with http.get(f"{own_stack.url}/api/jobs", headers={"X-Request-ID": 'x", "admin": "1'}) as answer:
        request_id = (await answer.json())["headers"]["X-Request-ID"]
    assert len(request_id) == 32
    assert request_id.isalnum()


async def test_a_path_that_only_becomes_the_apis_by_dots_is_not_passed_on(
    own_stack: Stack, backend: web.Application, http: aiohttp.ClientSession
) -> None:
    url = URL(f"{own_stack.url}/x/../api/jobs", encoded=True)
    async with http.get(url) as answer:
        assert answer.status == 404


async def test_websockets_pass(own_stack: Stack, backend: web.Application, http: aiohttp.ClientSession) -> None:
    async with http.ws_connect(f"{own_stack.url}/ws?ticket=t") as socket:
        assert await socket.receive_str() == "hello ticket=t"
        await socket.send_str("bye")


async def test_a_service_that_is_away_is_told_as_a_problem(own_stack: Stack, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{own_stack.url}/api/jobs") as answer:
        assert answer.status == 503
        assert answer.content_type == "application/problem+json"
        assert answer.headers["Retry-After"] == "2"
        assert json.loads(await answer.text())["status"] == 503


async def test_an_api_request_that_is_too_large_is_told_as_a_problem(
    own_stack: Stack, backend: web.Application, http: aiohttp.ClientSession
) -> None:
    async with http.post(f"{own_stack.url}/api/jobs", data=bytes(2 << 20)) as answer:
        assert answer.status == 413
        assert answer.content_type == "application/problem+json"


async def test_the_page_may_load_nothing_from_elsewhere(own_stack: Stack, http: aiohttp.ClientSession) -> None:
    async with http.get(f"{own_stack.url}/") as answer:
        policy = answer.headers["Content-Security-Policy"]
        assert answer.headers["Cache-Control"] == "no-cache"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'self'" in policy
    assert "unsafe" not in policy


@pytest.mark.parametrize(
    "spoil",
    [
        lambda url: url[:-4] + "0000",
        lambda url: url.replace("film.mp4", "other.mp4"),
        lambda url: url.replace("Expires=300", "Expires=600"),
        lambda url: url.partition("?")[0],
    ],
)
async def test_without_its_own_signature_an_object_is_not_to_be_had(
    film: str, http: aiohttp.ClientSession, spoil: Callable[[str], str]
) -> None:
    async with http.get(spoil(film)) as answer:
        assert answer.status in (400, 403)
        assert answer.content_type in ("application/xml", "text/xml")
        assert CONTENT[:100] not in await answer.read()


async def test_an_object_that_is_not_there_is_404(own_stack: Stack, http: aiohttp.ClientSession) -> None:
    async with http.get(await get_url(own_stack, "processed/none.mp4")) as answer:
        assert answer.status == 404
        assert "NoSuchKey" in await answer.text()


async def test_an_object_comes_with_the_type_of_its_name_and_nothing_runs(
    own_stack: Stack, http: aiohttp.ClientSession
) -> None:
    for name, content_type in (("a.webm", "video/webm"), ("a.html", "application/octet-stream")):
        await (await http.put(await put_url(own_stack, f"uploads/{name}"), data=b"<script>")).read()
        async with http.get(await get_url(own_stack, f"uploads/{name}")) as answer:
            assert answer.content_type == content_type


async def test_with_the_store_away_reading_is_told_as_a_problem(
    own_stack: Stack, film: str, http: aiohttp.ClientSession
) -> None:
    await own_stack.stop("s3")
    try:
        async with http.get(film) as answer:
            assert answer.status == 503
            assert answer.content_type == "application/problem+json"
    finally:
        await own_stack.start("s3")
