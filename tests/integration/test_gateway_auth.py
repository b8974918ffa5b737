"""Who may what: keys, tokens, tenants that see nothing of each other, and limits."""

import asyncio
import os
import re
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import anyio
import jwt
import orjson
import pytest
import pytest_asyncio
from cryptography.hazmat.primitives.asymmetric import rsa

from services.common import tickets
from tests.integration.gateway_world import Api, bucket, seated
from tests.stack import Stack, eventually, make_stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

SECRET = "a secret of more than thirty-two bytes, for tests"


@asynccontextmanager
async def started(stack: Stack, tmp_path_factory: pytest.TempPathFactory, **env: str) -> AsyncIterator[Stack]:
    async with make_stack(tmp_path_factory.mktemp("auth"), broker=stack, env=env) as own:
        await own.start("s3", "nginx", "gateway")
        yield own


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def keyed(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with started(
        stack, tmp_path_factory, AUTH="api_key", TENANT_QUEUED_JOBS="6", TENANT_OPEN_UPLOADS="20"
    ) as own:
        yield own


async def keys_command(stack: Stack, *arguments: str, check: bool = True) -> str:
    command = [sys.executable, "-m", "services.gateway.keys", *arguments]
    result = await anyio.run_process(command, env=stack.env, check=check)
    return result.stdout.decode()


async def client(stack: Stack, tenant: str) -> Api:
    key = (await keys_command(stack, "make", tenant)).strip()
    return Api(stack.gateway_url, {"Authorization": f"Bearer {key}"})


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer nonsense"},
        {"Authorization": "Basic dTpw"},
        {"X-API-Key": "vk_0123456789abcdef_" + "a" * 43},
        {"X-API-Key": ""},
    ],
)
async def test_without_a_key_nothing_is_told(keyed: Stack, headers: dict[str, str]) -> None:
    async with Api(keyed.gateway_url, headers) as api:
        for method, path in (("GET", "/jobs"), ("POST", "/jobs"), ("GET", "/formats"), ("POST", "/ws/ticket")):
            status, problem, answered = await api.call(method, path, json={})
            assert status == 401, path
            assert "WWW-Authenticate" in answered
            assert problem["status"] == 401
        for path in ("/healthz", "/readyz", "/metrics", "/openapi.json", "/docs"):
            assert (await api.get(path))[0] == 200, path


async def test_keys_are_made_listed_and_revoked(keyed: Stack) -> None:
    key = (await keys_command(keyed, "make", "acme", "--name", "laptop")).strip()
    match = re.fullmatch(r"vk_([0-9a-f]{16})_(.{43})", key)
    assert match
    listed = await keys_command(keyed, "list")
    assert f"{match[1]}  acme" in listed
    assert match[2] not in listed
    database = await anyio.Path(keyed.data_dir / "jobs.db").read_bytes()
    wal = await anyio.Path(keyed.data_dir / "jobs.db-wal").read_bytes()
    assert match[2].encode() not in database + wal
    async with Api(keyed.gateway_url, {"X-API-Key": key}) as api:
        assert (await api.get("/jobs"))[0] == 200
        await keys_command(keyed, "revoke", match[1])

        async def refused() -> bool:
            return (await api.get("/jobs"))[0] == 401

        await eventually(refused)
    assert "revoked" in await keys_command(keyed, "list")
    assert (await keys_command(keyed, "revoke", "0000000000000000", check=False)) == ""


async def test_tenants_see_nothing_of_each_other(keyed: Stack) -> None:
    async with await client(keyed, "alice") as alice, await client(keyed, "bob") as bob, seated(keyed) as seat:
        job = await alice.submit()
        assert job["input_path"].startswith("uploads/alice/")
        assert job["output_path"] == f"processed/alice/{job['job_id']}.mp4"
        path = f"/jobs/{job['job_id']}"
        nothing = await bob.get("/jobs/00000000-0000-0000-0000-000000000000")
        for method, where in (
            ("GET", path),
            ("GET", f"{path}?wait=5"),
            ("GET", f"{path}/download"),
            ("POST", f"{path}/cancel"),
            ("POST", f"{path}/retry"),
            ("DELETE", path),
        ):
            status, problem, _ = await bob.call(method, where)
            assert (status, problem) == (404, nothing[1]), where
        assert (await bob.get("/jobs"))[1]["jobs"] == []
        assert (await alice.job(job["job_id"])) == job
        theirs = {"input_path": job["input_path"], "output_format": "mp4"}
        missing = {"input_path": "uploads/bob/missing.mp4", "output_format": "mp4"}
        assert (await bob.post("/jobs", json=theirs))[:2] == (await bob.post("/jobs", json=missing))[:2]
        _, begun, _ = await alice.post("/s3/multipart", json={"filename": "a.mov", "type": "video/quicktime"})
        for where in ("", "/1", "/complete"):
            method = "POST" if where == "/complete" else "GET"
            body = {"parts": [{"PartNumber": 1, "ETag": "x"}]} if method == "POST" else None
            place = f"/s3/multipart/{begun['uploadId']}{where}?key={begun['key']}"
            assert (await bob.call(method, place, json=body))[0] == 404, where
        assert (await bob.delete(f"/s3/multipart/{begun['uploadId']}?key={begun['key']}"))[0] == 404
        assert (await alice.get(f"/s3/multipart/{begun['uploadId']}?key={begun['key']}"))[0] == 200
        _, ticket, _ = await bob.post("/ws/ticket")
        assert tickets.verify(keyed.env["TICKET_SECRET"], ticket["ticket"]) == "bob"
        # Events carry whose they are.
        await seat.listen(("video.events", "job.queued.alice.#"))
        again = await alice.submit(job["input_path"])
        assert (await seat.hears("queued", again["job_id"]))["tenant"] == "alice"
        # A dead letter is its tenant's too.
        assert (await bob.get("/dead-letters"))[1] == {"dead_letters": []}


async def test_idempotency_keys_are_each_tenants_own(keyed: Stack) -> None:
    key = {"Idempotency-Key": "the same"}
    async with await client(keyed, "carol") as carol, await client(keyed, "dave") as dave:
        answers = []
        for api in (carol, dave):
            wanted = {"input_path": await api.upload(), "output_format": "mp4"}
            answers.append(await api.post("/jobs", json=wanted, headers=key))
        assert [answer[0] for answer in answers] == [201, 201]
        assert answers[0][1]["job_id"] != answers[1][1]["job_id"]


async def test_a_tenant_may_have_so_many_jobs_waiting(keyed: Stack) -> None:
    async with await client(keyed, "erin") as erin, await client(keyed, "frank") as frank:
        input_path = await erin.upload()
        wanted = {"input_path": input_path, "output_format": "mp4"}
        answers = await asyncio.gather(*(erin.post("/jobs", json=wanted) for _ in range(10)))
        assert sorted(answer[0] for answer in answers) == [201] * 6 + [429] * 4
        status, problem, headers = await erin.post("/jobs", json=wanted)
        assert (status, int(headers["Retry-After"]) > 0) == (429, True), problem
        await frank.submit()


async def test_a_tenant_may_have_so_many_uploads_open(keyed: Stack) -> None:
    async with await client(keyed, "grace") as grace:
        wanted = {"filename": "a.mp4"}
        answers = [await grace.post("/upload/request", json=wanted) for _ in range(21)]
        assert [answer[0] for answer in answers] == [201] * 20 + [429]
        assert "Retry-After" in answers[-1][2]


async def test_secrets_and_keys_are_in_no_log(keyed: Stack) -> None:
    async with await client(keyed, "heidi") as heidi:
        await heidi.upload()
        key = heidi._session.headers["Authorization"].split("_")[2]
    assert key not in keyed.log("gateway")


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def tokened(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Stack]:
    async with started(
        stack,
        tmp_path_factory,
        AUTH="jwt",
        JWT_SECRET=SECRET,
        JWT_AUDIENCE="video",
        TENANT_REQUESTS_PER_SECOND="5",
    ) as own:
        yield own


def claims(**more: Any) -> dict[str, Any]:
    return {"sub": "alice", "aud": "video", "exp": int(time.time()) + 86_400, **more}


def bearer(token: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


async def test_tokens_name_their_tenant(tokened: Stack) -> None:
    for tenant, more in (("alice", {}), ("acme", {"tenant": "acme"})):
        token = jwt.encode(claims(**more), SECRET, algorithm="HS256")
        async with Api(tokened.gateway_url, bearer(token)) as api:
            _, upload, _ = await api.post("/upload/request", json={"filename": "a.mp4"})
            assert upload["input_path"].startswith(f"uploads/{tenant}/")


@pytest.mark.parametrize(
    ("token", "status"),
    [
        (jwt.encode(claims(), "another secret that is long enough too", algorithm="HS256"), 401),
        (jwt.encode(claims(exp=1), SECRET, algorithm="HS256"), 401),
        (jwt.encode(claims(aud="other"), SECRET, algorithm="HS256"), 401),
        (jwt.encode({"sub": "alice", "aud": "video"}, SECRET, algorithm="HS256"), 401),
        (jwt.encode(claims(), None, algorithm="none"), 401),
        ("a.b.c", 401),
        (jwt.encode(claims(sub="../x"), SECRET, algorithm="HS256"), 403),
        (jwt.encode(claims(sub="Alice Smith"), SECRET, algorithm="HS256"), 403),
    ],
    ids=["secret", "expired", "audience", "no expiry", "unsigned", "no token", "path", "spaces"],
)
async def test_other_tokens_are_refused(tokened: Stack, token: str, status: int) -> None:
    async with Api(tokened.gateway_url, bearer(token)) as api:
        found, problem, _ = await api.get("/jobs")
        assert (found, problem["status"]) == (status, status)


async def test_too_many_requests_are_told_when_to_come_back(tokened: Stack) -> None:
    token = jwt.encode(claims(sub="busy"), SECRET, algorithm="HS256")
    async with Api(tokened.gateway_url, bearer(token)) as api:
        answers = await asyncio.gather(*(api.get("/formats") for _ in range(40)))
        refused = [answer for answer in answers if answer[0] == 429]
        assert len(refused) > 20
        assert all(int(answer[2]["Retry-After"]) >= 1 for answer in refused)
        assert {answer[0] for answer in answers} == {200, 429}
    other = jwt.encode(claims(sub="calm"), SECRET, algorithm="HS256")
    async with Api(tokened.gateway_url, bearer(other)) as api:
        assert (await api.get("/formats"))[0] == 200


async def test_public_keys_from_a_file(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> None:
    private = rsa.generate_private_key(public_exponent=65537, key_size=2048)
    public = jwt.algorithms.RSAAlgorithm.to_jwk(private.public_key(), as_dict=True)
    path = tmp_path_factory.mktemp("jwks") / "keys.json"
    path.write_bytes(orjson.dumps({"keys": [{**public, "kid": "one", "alg": "RS256", "use": "sig"}]}))
    async with started(stack, tmp_path_factory, AUTH="jwt", JWT_JWKS_FILE=str(path)) as own:
        good = jwt.encode(claims(), private, algorithm="RS256", headers={"kid": "one"})
        unknown = jwt.encode(claims(), private, algorithm="RS256", headers={"kid": "two"})
        # The public key taken for a shared secret: the classic confusion.
        confused = jwt.encode(claims(), "x" * 64, algorithm="HS256", headers={"kid": "one"})
        for token, status in ((good, 200), (unknown, 401), (confused, 401)):
            async with Api(own.gateway_url, bearer(token)) as api:
                assert (await api.get("/jobs"))[0] == status


async def test_anonymous_access_on_a_public_address_is_refused_at_the_start(own_stack: Stack) -> None:
    env = own_stack.env | {"GATEWAY_HOST": "0.0.0.0"}
    result = await anyio.run_process([sys.executable, "-m", "services.gateway"], env=env, check=False)
    assert result.returncode == 2
    assert b"ALLOW_ANONYMOUS" in result.stderr
    assert os.fsencode(env["S3_SECRET_KEY"]) not in result.stderr


async def test_what_is_too_old_is_collected(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> None:
    env = {"UNUSED_UPLOAD_TTL": "1s", "RETENTION_INTERVAL": "1h"}
    async with (
        started(stack, tmp_path_factory, **env) as own,
        Api(own.gateway_url) as api,
        bucket(own) as storage,
    ):
        unused, used = await api.upload(), await api.upload()
        await api.submit(used)
        _, begun, _ = await api.post("/s3/multipart", json={"filename": "a.mov", "type": "video/quicktime"})
        command = [sys.executable, "-m", "services.gateway.collect"]

        async def found() -> bool:
            result = await anyio.run_process([*command, "--dry-run"], env=own.env)
            return unused.encode() in result.stdout and begun["key"].encode() in result.stdout

        await eventually(found)
        assert await storage.stat(unused) is not None
        result = await anyio.run_process(command, env=own.env)
        assert used.encode() not in result.stdout
        assert await storage.stat(unused) is None
        assert await storage.stat(used) is not None
        path = f"/s3/multipart/{begun['uploadId']}?key={begun['key']}"
        assert (await api.get(path))[0] == 404
