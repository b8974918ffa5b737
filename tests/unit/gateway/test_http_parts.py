"""The small parts between a request and the store."""

import asyncio
import re
from base64 import b64decode
from datetime import UTC, datetime
from typing import Any
from uuid import RFC_4122, UUID

import orjson
import pytest
from aiohttp.test_utils import make_mocked_request
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from services.common.settings import CommonSettings
from services.common.storage import ObjectInfo
from services.common.web import Problem
from services.gateway.auth import hash_secret, new_key
from services.gateway.ids import new_job_id
from services.gateway.jobs import check_wishes
from services.gateway.limits import CountLimit, RateLimit
from services.gateway.models import JobRequest
from services.gateway.objects import Objects
from services.gateway.openapi import document
from services.gateway.reading import download_name, wait_of
from services.gateway.routes import ROUTES
from services.gateway.settings import GatewaySettings
from services.gateway.signing import post_policy, presign_put
from services.gateway.urls import store_base


class Clock:
    now = 0.0

    def __call__(self) -> Any:
        return self.now


def test_the_rate_limit_lets_bursts_through_and_then_the_rate() -> None:
    clock = Clock()
    limit = RateLimit(10, clock)
    for _ in range(20):
        limit.check("a")
    with pytest.raises(Problem) as caught:
        limit.check("a")
    assert caught.value.status == 429
    assert caught.value.headers["Retry-After"] == "1"
    limit.check("b")
    clock.now += 0.1
    limit.check("a")
    with pytest.raises(Problem):
        limit.check("a")


def test_no_limit_is_no_limit() -> None:
    limit = RateLimit(None)
    for _ in range(1000):
        limit.check("a")


async def test_a_count_is_asked_for_seldom_and_kept_in_between() -> None:
    clock, asked = Clock(), []

    async def count(tenant: str, limit: int) -> Any:
        asked.append((tenant, limit))
        return 1

    limit = CountLimit(3, count, "too many", clock)
    await limit.take("a")
    await limit.take("a")
    with pytest.raises(Problem):
        await limit.take("a")
    assert asked == [("a", 4)]
    clock.now += 2
    await limit.take("a")
    assert asked == [("a", 4)] * 2


async def test_those_who_come_while_it_is_counted_are_counted_too() -> None:
    async def count(tenant: str, limit: int) -> int:
        await asyncio.sleep(0)
        return 0

    limit = CountLimit(3, count, "too many", Clock())
    results = await asyncio.gather(*(limit.take("a") for _ in range(10)), return_exceptions=True)
    assert results.count(None) == 3


class CountingStore:
    def __init__(self, size: int | None = 5) -> None:
        self.asked = 0
        self.size = size

    async def stat(self, key: Any) -> Any:
        self.asked += 1
        await asyncio.sleep(0)
        return ObjectInfo(key, self.size, "e", "t", datetime.now(UTC)) if self.size is not None else None


async def test_an_object_is_asked_for_once_by_many() -> None:
    store = CountingStore()
    objects = Objects(store)
    found = await asyncio.gather(*(objects.stat("a") for _ in range(50)))
    assert {info.size for info in found} == {5}
    await objects.stat("a")
    assert store.asked == 1
    objects.forget("a")
    await objects.stat("a")
    assert store.asked == 2


async def test_an_object_that_is_not_there_is_asked_for_again() -> None:
    store = CountingStore(None)
    objects = Objects(store)
    assert await objects.stat("a") is None
    assert await objects.stat("a") is None
    assert store.asked == 2


@pytest.mark.parametrize(
    ("headers", "base"),
    [
        ({}, "http://store:9000"),
        ({"X-Forwarded-Host": "video.example", "X-Forwarded-Proto": "https"}, "https://video.example"),
        ({"X-Forwarded-Host": "127.0.0.1:8080"}, "http://127.0.0.1:8080"),
        ({"X-Forwarded-Host": "[::1]:8080"}, "http://[::1]:8080"),
        ({"X-Forwarded-Host": "evil.example/path"}, "http://store:9000"),
        ({"X-Forwarded-Host": "a b"}, "http://store:9000"),
        ({"X-Forwarded-Host": "user@evil.example"}, "http://store:9000"),
    ],
)
def test_presigned_urls_carry_the_name_that_the_page_was_reached_under(headers: dict[str, str], base: str) -> None:
    settings = GatewaySettings(s3_public_endpoint="http://store:9000")
    assert store_base(make_mocked_request("GET", "/", headers=headers), settings) == base


def test_forwarded_names_are_believed_only_from_the_front_door() -> None:
    settings = GatewaySettings(gateway_host="0.0.0.0", allow_anonymous=True, s3_public_endpoint="http://store:9000")
    request = make_mocked_request("GET", "/", headers={"X-Forwarded-Host": "evil.example"})
    assert store_base(request, settings) == "http://store:9000"


def test_anonymous_access_from_other_machines_must_be_asked_for() -> None:
    with pytest.raises(ValidationError, match="ALLOW_ANONYMOUS"):
        GatewaySettings(gateway_host="0.0.0.0")
    GatewaySettings(gateway_host="0.0.0.0", auth="api_key")


def test_jwt_needs_a_key() -> None:
    with pytest.raises(ValidationError, match="JWT_SECRET"):
        GatewaySettings(auth="jwt")


@pytest.mark.parametrize(
    ("given_url", "engine"),
    [
        ("postgresql://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("postgres://u:p@h/d", "postgresql+asyncpg://u:p@h/d"),
        ("sqlite:////tmp/x.db", "sqlite+aiosqlite:////tmp/x.db"),
    ],
)
def test_the_database_by_url_alone(given_url: str, engine: str) -> None:
    assert GatewaySettings(database_url=given_url).database == engine


def test_limits_are_off_without_tenants_and_on_with_them() -> None:
    assert GatewaySettings().limit("jobs") is None
    assert GatewaySettings(auth="api_key").limit("jobs") == 10_000
    assert GatewaySettings(auth="api_key", tenant_queued_jobs=0).limit("jobs") is None
    assert GatewaySettings(tenant_queued_jobs=5).limit("jobs") == 5


def test_a_presigned_url_is_signed_as_amazon_does_it() -> None:
    # Computed once with botocore for the same input.
    settings = CommonSettings(
        s3_access_key="AKIAIOSFODNN7EXAMPLE",
        s3_secret_key="wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY",
        s3_bucket="videos",
    )
    url = presign_put(
        settings,
        "uploads/a.avi",
        "http://127.0.0.1:9000",
        600,
        signed_headers={"Content-Length": "11"},
        moment=datetime(2026, 11, 24, 23, 0, 0, tzinfo=UTC),
    )
    assert url == (
        "http://127.0.0.1:9000/videos/uploads/a.avi?X-Amz-Algorithm=AWS4-HMAC-SHA256"
        "&X-Amz-Credential=AKIAIOSFODNN7EXAMPLE%2F20261124%2Fus-east-1%2Fs3%2Faws4_request"
        "&X-Amz-Date=20261124T230000Z&X-Amz-Expires=600&X-Amz-SignedHeaders=content-length%3Bhost"
        "&X-Amz-Signature=c9623847c94dec8fc8a8f236b2c9428cbde3c7b792bdf7aaad912bcdd4629098"
    )


def test_a_form_is_held_to_a_size_a_type_and_a_key() -> None:
    settings = CommonSettings(s3_access_key="key", s3_secret_key="secret", s3_bucket="videos")
    moment = datetime(2026, 11, 24, 23, 0, 0, tzinfo=UTC)
    fields = post_policy(settings, "uploads/a.avi", "video/x-msvideo", 1000, 600, moment=moment)
    policy = orjson.loads(b64decode(fields["policy"]))
    assert policy["expiration"] == "2026-11-24T23:10:00.000Z"
    assert ["content-length-range", 1, 1000] in policy["conditions"]
    assert {"bucket": "videos"} in policy["conditions"]
    signed = {name for condition in policy["conditions"] if isinstance(condition, dict) for name in condition}
    assert fields.keys() - {"policy", "x-amz-signature"} == signed - {"bucket"}
    # Computed once with botocore for the same policy.
    assert fields["x-amz-signature"] == "89352d57599f2bf55c729d3f72811fb84673f37ca909e9db8568e1f360927cca"


@pytest.mark.parametrize(
    ("filename", "expected"),
    [
        ("holiday.avi", "holiday.mp4"),
        ("a.b.c.mkv", "a.b.c.mp4"),
        ("noextension", "noextension.mp4"),
        (".hidden", ".hidden.mp4"),
        ("../../etc/passwd", ".._.._etc_passwd.mp4"),
        ('q"uo\r\nte.avi', 'q"uo\r\nte.mp4'),
        ("日本語.webm", "日本語.mp4"),
        (None, "job-1.mp4"),
        ("x" * 300 + ".avi", "x" * 300 + ".mp4"),
        ("Mr. Smith goes to Washington", "Mr. Smith goes to Washington.mp4"),
    ],
)
def test_the_result_is_downloaded_under_the_users_own_name(filename: str | None, expected: str) -> None:
    row = {"filename": filename, "output_format": "mp4", "job_id": "job-1"}
    assert download_name(row) == expected


@pytest.mark.parametrize(
    ("path", "prefer", "seconds"),
    [
        ("/", None, 0),
        ("/?wait=5", None, 5),
        ("/?wait=0", "wait=9", 0),
        ("/", "wait=25", 25),
        ("/", "respond-async, wait=10", 10),
        ("/", "return=minimal; wait=7", 7),
        ("/", "wait=9999", 60),
        ("/", "await=9", 0),
        ("/", "wait=-1", 0),
    ],
)
def test_how_long_an_answer_may_be_held(path: str, prefer: str | None, seconds: float) -> None:
    headers = {"Prefer": prefer} if prefer else {}
    assert wait_of(make_mocked_request("GET", path, headers=headers)) == seconds


@pytest.mark.parametrize("wait", ["x", "-1", "61", "nan", "inf"])
def test_a_wait_that_makes_no_sense_is_refused(wait: str) -> None:
    with pytest.raises(Problem) as caught:
        wait_of(make_mocked_request("GET", f"/?wait={wait}"))
    assert caught.value.status == 422


@pytest.mark.parametrize("output_format", ["mp4 -i /etc/passwd", "../x", "-y", "lavfi", "", "MP4", "mp4\0"])
def test_formats_that_are_none_are_refused(output_format: str) -> None:
    with pytest.raises(Problem) as caught:
        check_wishes(JobRequest(input_path="uploads/a", output_format=output_format))
    assert caught.value.status == 422
    assert caught.value.errors[0]["field"] == "output_format"


@settings(max_examples=30, deadline=None)
@given(st.dictionaries(st.text(), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists)))
def test_options_that_are_none_are_refused_whatever_they_hold(options: dict[str, Any]) -> None:
    wanted = JobRequest(input_path="uploads/a", output_format="mp4", options={**options, "no such": None})
    with pytest.raises(Problem) as caught:
        check_wishes(wanted)
    assert caught.value.status == 422


def test_keys_are_kept_as_hashes_only() -> None:
    key_id, secret_hash, key = new_key()
    assert key.startswith(f"vk_{key_id}_")
    secret = key.removeprefix(f"vk_{key_id}_")
    assert secret_hash == hash_secret(secret)
    assert secret not in secret_hash


def test_every_route_is_in_the_openapi_document() -> None:
    paths = document()["paths"]
    assert {(route.path, route.method.lower()) for route in ROUTES} == {
        (path, method) for path, methods in paths.items() for method in methods
    }
    assert "$defs" not in str(document())
    names = set(re.findall(r"#/components/schemas/(\w+)", str(document())))
    assert names <= document()["components"]["schemas"].keys()


def test_ids_of_jobs_are_uuids_that_rise_with_time() -> None:
    made = [new_job_id() for _ in range(1000)]
    assert len(set(made)) == 1000
    read = [UUID(job_id) for job_id in made]
    assert {(one.version, one.variant) for one in read} == {(7, RFC_4122)}
    assert [str(one) for one in read] == made
    moments = [one.int >> 80 for one in read]
    assert moments == sorted(moments)
    assert abs(moments[0] / 1000 - datetime.now(UTC).timestamp()) < 60
    # The bits that are not fixed take both values.
    assert sum((one.int >> 64) & 0xFFF for one in read) / 1000 == pytest.approx(0x800, rel=0.2)
