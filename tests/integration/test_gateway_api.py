"""The gateway by itself on the real broker and store, with SQLite and with PostgreSQL: all that a client can do."""

import asyncio
import hashlib
import re
from collections.abc import AsyncIterator
from typing import Any

import orjson
import pytest
import pytest_asyncio

from services.common import tickets
from tests.integration.gateway_world import Api, Postgres, Seat, bucket, running_postgres, seated
from tests.stack import Stack, eventually, make_stack

pytestmark = pytest.mark.asyncio(loop_scope="session")

MIB = 1 << 20
LIMIT = 12 * MIB


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def postgres() -> AsyncIterator[Postgres | None]:
    async with running_postgres() as running:
        yield running


@pytest_asyncio.fixture(scope="module", loop_scope="session", params=["sqlite", "postgresql"])
async def gateway(
    request: pytest.FixtureRequest,
    tmp_path_factory: pytest.TempPathFactory,
    stack: Stack,
    postgres: Postgres | None,
) -> AsyncIterator[Stack]:
    env = {"MAX_UPLOAD_SIZE": str(LIMIT), "SWEEP_INTERVAL": "0.2"}
    if request.param == "postgresql":
        if postgres is None:
            pytest.skip("PostgreSQL is not installed")
        env["DATABASE_URL"] = await postgres.create("api")
    async with make_stack(tmp_path_factory.mktemp("gateway"), broker=stack, env=env) as own:
        await own.start("s3", "nginx", "gateway")
        yield own


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def api(gateway: Stack) -> AsyncIterator[Api]:
    async with Api(gateway.gateway_url) as client:
        yield client


@pytest_asyncio.fixture(loop_scope="session")
async def seat(gateway: Stack) -> AsyncIterator[Seat]:
    async with seated(gateway) as taken:
        yield taken


# Uploads in one piece


async def test_from_upload_to_queued_job(api: Api) -> None:
    input_path = await api.upload(size=11, content_type="video/x-msvideo")
    assert re.fullmatch(r"uploads/[0-9a-f-]{36}\.avi", input_path)
    wanted = {"input_path": input_path, "output_format": "mp4", "filename": 'Ünï"code\r\n日本.avi'}
    status, job, headers = await api.post("/jobs", json=wanted)
    assert status == 201
    assert headers["Location"] == f"/jobs/{job['job_id']}"
    assert job["status"] == "QUEUED"
    assert job["filename"] == wanted["filename"]
    assert job["output_path"] == f"processed/{job['job_id']}.mp4"
    status, again, headers = await api.get(f"/jobs/{job['job_id']}")
    assert (status, again) == (200, job)
    status, _, _ = await api.get(f"/jobs/{job['job_id']}", headers={"If-None-Match": headers["ETag"]})
    assert status == 304
    status, page, _ = await api.get("/jobs?limit=1")
    assert page["jobs"] == [job]
    status, _, _ = await api.get(f"/jobs/{job['job_id']}/download")
    assert status == 409


async def test_a_declared_size_is_part_of_the_signature(api: Api) -> None:
    _, upload, _ = await api.post("/upload/request", json={"filename": "a.mp4", "size": 5})
    status, _ = await api.put(upload["url"], b"x" * 50)
    assert status == 403
    status, _ = await api.put(upload["url"], b"x" * 5)
    assert status == 200


async def test_a_file_declared_too_large_is_refused(api: Api) -> None:
    status, problem, _ = await api.post("/upload/request", json={"filename": "a.mp4", "size": LIMIT + 1})
    assert status == 413
    assert str(LIMIT) in problem["detail"]


async def test_an_object_too_large_never_becomes_a_job_and_is_removed(api: Api, gateway: Stack) -> None:
    key = await api.upload(b"x" * (LIMIT + 1))
    status, _, headers = await api.post("/jobs", json={"input_path": key, "output_format": "mp4"})
    assert (status, headers["Content-Type"]) == (413, "application/problem+json")
    async with bucket(gateway) as storage:
        assert await storage.stat(key) is None
    status, _, _ = await api.post("/jobs", json={"input_path": key, "output_format": "mp4"})
    assert status == 404


async def test_an_empty_file_is_said_to_be_empty(api: Api) -> None:
    status, problem, _ = await api.post("/upload/request", json={"filename": "a.mp4", "size": 0})
    assert (status, problem["errors"][0]["field"]) == (422, "size")
    key = await api.upload(b"")
    status, problem, _ = await api.post("/jobs", json={"input_path": key, "output_format": "mp4"})
    assert (status, problem["errors"][0]["field"]) == (422, "input_path")


@pytest.mark.parametrize(
    "input_path",
    [
        "../x",
        "uploads/../x",
        "uploads/%2e%2e%2fx",
        "/etc/passwd",
        "processed/a.mp4",
        "uploads/a/b/c.mp4",
        "uploads/\0.mp4",
        "uploads/.hidden",
        "http://example.org/a.mp4",
        "uploads/missing.mp4",
        "uploads/acme/theirs.mp4",
    ],
)
async def test_what_is_no_upload_of_ones_own_is_not_taken(api: Api, input_path: str) -> None:
    status, problem, _ = await api.post("/jobs", json={"input_path": input_path, "output_format": "mp4"})
    assert status in {404, 422}, problem
    assert problem["status"] == status


# Jobs


async def test_the_same_key_makes_one_job(api: Api) -> None:
    wanted = {"input_path": await api.upload(), "output_format": "mp4"}
    key = {"Idempotency-Key": "once"}
    answers = await asyncio.gather(*(api.post("/jobs", json=wanted, headers=key) for _ in range(5)))
    made = {answer[1]["job_id"] for answer in answers if answer[0] == 201}
    assert len(made) == 1
    assert {answer[0] for answer in answers} <= {201, 409}
    first = await api.post("/jobs", json=wanted, headers=key)
    # Written in another way, it is the same request.
    again = await api.post("/jobs", json={"options": {}, **dict(reversed(wanted.items()))}, headers=key)
    assert first[0] == again[0] == 201
    assert first[1] == again[1]
    status, problem, _ = await api.post("/jobs", json={**wanted, "output_format": "webm"}, headers=key)
    assert status == 422, problem
    status, _, _ = await api.post("/jobs", json=wanted, headers={"Idempotency-Key": "x" * 256})
    assert status == 400


async def test_events_of_a_transcoder_are_seen_at_once_and_by_those_who_wait(api: Api, seat: Seat) -> None:
    job = await api.submit(filename="Ferien 日本.avi")
    path = f"/jobs/{job['job_id']}"
    _, _, headers = await api.get(path)
    waiting = asyncio.create_task(api.get(f"{path}?wait=20", headers={"If-None-Match": headers["ETag"]}))
    await seat.tell("started", job)
    status, changed, headers = await waiting
    assert (status, changed["status"], changed["stage"]) == (200, "PROCESSING", "downloading")
    waiting = asyncio.create_task(api.get(path, headers={"Prefer": "wait=20"}))
    await asyncio.sleep(0)
    await seat.tell("progress", job, seq=5, progress={"percent": 42.5, "fps": 50.0, "speed": 2.0, "eta_s": 3.0})
    status, changed, _ = await waiting
    assert changed["progress"] == {"percent": 42.5, "fps": 50.0, "speed": 2.0, "eta_s": 3.0}
    await seat.tell("progress", job, seq=6, progress={"percent": 12.0})
    await seat.tell("completed", job, seq=7, outputs=[])
    done = await api.becomes(job["job_id"], "COMPLETED")
    assert done["progress"]["percent"] == 100.0
    assert done["finished_at"] is not None


async def test_a_wait_ends_when_its_time_is_up(api: Api) -> None:
    job = await api.submit()
    _, _, headers = await api.get(f"/jobs/{job['job_id']}")
    status, _, _ = await api.get(f"/jobs/{job['job_id']}?wait=0.1", headers={"If-None-Match": headers["ETag"]})
    assert status == 304


async def test_late_doubled_and_foreign_events_change_nothing(api: Api, seat: Seat) -> None:
    job = await api.submit()
    await seat.tell("started", job, seq=4)
    await seat.tell("started", job, seq=4)
    await seat.publish("video.events", "job.progress.default.x", b"{")
    await seat.publish("video.events", "job.progress.default.x", b'{"type":"job.progress"}')
    await seat.tell("failed", job, seq=9, error={"code": "not_media", "message": "No."})
    failed = await api.becomes(job["job_id"], "FAILED")
    await seat.tell("completed", job, seq=10, outputs=[])
    other = await api.submit()
    await seat.tell("started", other)
    await api.becomes(other["job_id"], "PROCESSING")
    assert await api.job(job["job_id"]) == failed


async def test_a_job_of_another_program_is_shown_once_it_starts(api: Api, seat: Seat) -> None:
    job = {
        "job_id": f"foreign-{seat.channel.number}-{id(seat)}",
        "attempt": 1,
        "seq": 0,
        "input_path": "uploads/source_video.avi",
        "output_format": "mp4",
        "output_path": "processed/final_video.mp4",
    }

    async def known() -> bool:
        await seat.tell("started", job)
        return (await api.get(f"/jobs/{job['job_id']}"))[0] == 200

    await eventually(known)
    assert (await api.job(job["job_id"]))["output_path"] == "processed/final_video.mp4"


async def test_cancel(api: Api, seat: Seat) -> None:
    await seat.listen(("video.events", "job.cancelled.#"), ("video.control", "#"))
    job = await api.submit()
    await seat.tell("started", job)
    await api.becomes(job["job_id"], "PROCESSING")
    status, cancelled, _ = await api.post(f"/jobs/{job['job_id']}/cancel")
    assert (status, cancelled["status"]) == (202, "CANCELLED")
    assert (await seat.hears("cancel", job["job_id"]))["attempt"] == 1
    event = await seat.hears("cancelled", job["job_id"])
    assert event["seq"] == cancelled["seq"]
    status, problem, _ = await api.post(f"/jobs/{job['job_id']}/cancel")
    assert (status, problem["status"]) == (409, 409)
    # The worker did not hear of it; it is told again.
    seat.heard.clear()
    await seat.tell("progress", job, seq=cancelled["seq"] + 50, progress={"percent": 50.0})
    assert (await seat.hears("cancel", job["job_id"]))["reason"] == "superseded"
    assert await api.job(job["job_id"]) == cancelled


async def test_retry(api: Api, seat: Seat) -> None:
    await seat.listen(("video.jobs", "job.requested.#"), ("video.events", "job.queued.#"))
    job = await api.submit()
    assert (await seat.hears("requested", job["job_id"]))["attempt"] == 1
    assert (await api.post(f"/jobs/{job['job_id']}/retry"))[0] == 409
    await seat.tell("failed", job, error={"code": "stalled", "message": "…"})
    await api.becomes(job["job_id"], "FAILED")
    seat.heard.clear()
    status, again, _ = await api.post(f"/jobs/{job['job_id']}/retry")
    assert (status, again["status"], again["attempt"], again["error"]) == (202, "QUEUED", 2, None)
    assert (await seat.hears("requested", job["job_id"]))["attempt"] == 2
    assert (await seat.hears("queued", job["job_id"]))["seq"] == again["seq"]


async def test_retry_without_the_input_is_refused(api: Api, seat: Seat, gateway: Stack) -> None:
    job = await api.submit()
    await seat.tell("failed", job, error={"code": "stalled", "message": "…"})
    await api.becomes(job["job_id"], "FAILED")
    async with bucket(gateway) as storage:
        await storage.remove(job["input_path"])

    async def refused() -> bool:  # the object may be believed in for some seconds more
        return (await api.post(f"/jobs/{job['job_id']}/retry"))[0] == 409

    await eventually(refused)


async def completed(api: Api, seat: Seat, gateway: Stack, body: bytes, **wanted: Any) -> dict[str, Any]:
    job = await api.submit(**wanted)
    async with bucket(gateway) as storage:
        await storage.put(job["output_path"], body, "video/mp4")
        await storage.put(f"outcomes/{job['job_id']}.json", b"{}", "application/json")
    output = {"kind": "video", "path": job["output_path"], "size": len(body), "content_type": "video/mp4"}
    await seat.tell("completed", job, outputs=[output])
    return await api.becomes(job["job_id"], "COMPLETED")


async def test_download_under_the_users_own_name(api: Api, seat: Seat, gateway: Stack) -> None:
    job = await completed(api, seat, gateway, b"result", filename='Fe"ri\r\nen 日本.avi')
    path = f"/jobs/{job['job_id']}/download"
    status, download, _ = await api.get(path)
    assert status == 200
    assert download["filename"] == 'Fe"ri\r\nen 日本.mp4'
    assert (download["size"], download["content_type"]) == (6, "video/mp4")
    async with Api("") as outside:
        status, body, headers = await outside.get(download["url"])
    assert (status, body) == (200, b"result")
    assert "%E6%97%A5" in headers["Content-Disposition"]
    assert "\n" not in headers["Content-Disposition"]
    status, _, headers = await api.get(f"{path}?redirect=1")
    assert status == 302
    assert headers["Location"].split("?")[0] == download["url"].split("?")[0]


async def test_urls_carry_the_name_that_the_page_was_reached_under(api: Api) -> None:
    headers = {"X-Forwarded-Host": "video.example:8443", "X-Forwarded-Proto": "https"}
    _, upload, _ = await api.post("/upload/request", json={"filename": "a.mp4"}, headers=headers)
    assert upload["url"].startswith("https://video.example:8443/videos/uploads/")


async def test_delete_takes_the_objects_along(api: Api, seat: Seat, gateway: Stack) -> None:
    job = await completed(api, seat, gateway, b"result")
    keys = [job["input_path"], job["output_path"], f"outcomes/{job['job_id']}.json"]
    status, body, _ = await api.delete(f"/jobs/{job['job_id']}")
    assert (status, body) == (204, b"")
    async with bucket(gateway) as storage:
        assert [await storage.stat(key) for key in keys] == [None, None, None]
    for answer in (await api.get(f"/jobs/{job['job_id']}"), await api.delete(f"/jobs/{job['job_id']}")):
        assert answer[0] == 404
    assert job["job_id"] not in [listed["job_id"] for listed in (await api.get("/jobs"))[1]["jobs"]]


async def test_a_job_in_work_is_not_deleted(api: Api, seat: Seat) -> None:
    job = await api.submit()
    await seat.tell("started", job)
    await api.becomes(job["job_id"], "PROCESSING")
    assert (await api.delete(f"/jobs/{job['job_id']}"))[0] == 409


async def test_the_list_has_filters_and_a_cursor(api: Api, seat: Seat) -> None:
    input_path = await api.upload()
    made = [await api.submit(input_path) for _ in range(5)]
    await seat.tell("failed", made[2], error={"code": "stalled", "message": "…"})
    await api.becomes(made[2]["job_id"], "FAILED")
    seen: list[str] = []
    cursor = ""
    while len(seen) < 5:
        status, page, _ = await api.get(f"/jobs?limit=2{cursor}")
        assert status == 200
        seen += [job["job_id"] for job in page["jobs"]]
        cursor = f"&cursor={page['next_cursor']}"
    assert set(seen[:5]) == {job["job_id"] for job in made}
    _, page, _ = await api.get("/jobs?status=FAILED&limit=200")
    assert made[2]["job_id"] in [job["job_id"] for job in page["jobs"]]
    assert {job["status"] for job in page["jobs"]} == {"FAILED"}


# Uploads in parts


async def test_multipart_as_uppy_does_it(api: Api) -> None:
    status, begun, _ = await api.post(
        "/s3/multipart", json={"filename": "x-holiday.mov", "type": "video/quicktime", "metadata": {"name": "x"}}
    )
    assert status == 200
    assert begun["bucket"] == "videos"
    assert begun["key"].endswith(".mov")
    upload, query = f"/s3/multipart/{begun['uploadId']}", f"?key={begun['key']}"
    etags = []
    for number, body in ((1, b"a" * (5 * MIB)), (2, b"b" * 100)):
        status, signed, _ = await api.get(f"{upload}/{number}{query}")
        assert status == 200
        assert signed["expires"] > 0
        status, headers = await api.put(signed["url"], body)
        assert status == 200
        etags.append(headers["ETag"])
    status, parts, _ = await api.get(upload + query)
    assert [(part["PartNumber"], part["ETag"], part["Size"]) for part in parts] == [
        (1, f'"{hashlib.md5(b"a" * (5 * MIB)).hexdigest()}"', 5 * MIB),
        (2, f'"{hashlib.md5(b"b" * 100).hexdigest()}"', 100),
    ]
    wanted = {"parts": [{"PartNumber": n, "ETag": etag} for n, etag in enumerate(etags, 1)]}
    status, done, _ = await api.post(f"{upload}/complete{query}", json=wanted)
    assert (status, done["key"]) == (200, begun["key"])
    assert (await api.post(f"{upload}/complete{query}", json=wanted))[:2] == (200, done)  # its answer may be lost
    assert (await api.submit(begun["key"]))["input_path"] == begun["key"]
    assert (await api.get(upload + query))[0] == 404


async def test_a_multipart_upload_can_be_given_up(api: Api) -> None:
    _, begun, _ = await api.post("/s3/multipart", json={"filename": "a.mov", "type": "video/quicktime"})
    path = f"/s3/multipart/{begun['uploadId']}?key={begun['key']}"
    assert (await api.delete(path))[:2] == (200, {})
    assert (await api.get(path))[0] == 404
    wanted = {"parts": [{"PartNumber": 1, "ETag": "x"}]}
    assert (await api.post(path.replace("?", "/complete?"), json=wanted))[0] == 404


async def test_parts_that_are_too_much_together_are_refused(api: Api) -> None:
    _, begun, _ = await api.post("/s3/multipart", json={"filename": "a.mov", "type": "video/quicktime"})
    upload, query = f"/s3/multipart/{begun['uploadId']}", f"?key={begun['key']}"
    parts = []
    for number in (1, 2):
        _, signed, _ = await api.get(f"{upload}/{number}{query}")
        _, headers = await api.put(signed["url"], b"a" * (7 * MIB))
        parts.append({"PartNumber": number, "ETag": headers["ETag"]})
    status, _, _ = await api.post(f"{upload}/complete{query}", json={"parts": parts})
    assert status == 413
    assert (await api.get(upload + query))[0] == 404


async def test_parts_that_never_came_are_missed(api: Api) -> None:
    _, begun, _ = await api.post("/s3/multipart", json={"filename": "a.mov", "type": "video/quicktime"})
    path = f"/s3/multipart/{begun['uploadId']}/complete?key={begun['key']}"
    status, problem, _ = await api.post(path, json={"parts": [{"PartNumber": 1, "ETag": "x"}]})
    assert (status, problem["errors"][0]["field"]) == (422, "parts")


async def test_somebody_elses_multipart_upload_is_unknown(api: Api) -> None:
    _, begun, _ = await api.post("/s3/multipart", json={"filename": "a.mov", "type": "video/quicktime"})
    for key in ("uploads/acme/a.mov", "processed/a.mov", "uploads/other.mov"):
        path = f"/s3/multipart/{begun['uploadId']}?key={key}"
        assert (await api.get(path))[0] == 404, key


# Errors


@pytest.mark.parametrize(
    ("method", "path", "arguments", "status"),
    [
        ("GET", "/nowhere", {}, 404),
        ("GET", "/jobs/none", {}, 404),
        ("GET", "/jobs/%00", {}, 404),
        ("GET", "/jobs/" + "a" * 200, {}, 404),
        ("PATCH", "/jobs", {}, 405),
        ("DELETE", "/formats", {}, 405),
        ("POST", "/jobs", {"data": b"{", "headers": {"Content-Type": "application/json"}}, 400),
        ("POST", "/jobs", {"data": b'{"a":"\xff"}', "headers": {"Content-Type": "application/json"}}, 400),
        ("POST", "/jobs", {"data": b'{"a":"\\ud800"}', "headers": {"Content-Type": "application/json"}}, 400),
        ("POST", "/jobs", {"data": b"[" * 100_000, "headers": {"Content-Type": "application/json"}}, 400),
        ("POST", "/jobs", {"data": b"{}", "headers": {"Content-Type": "text/plain"}}, 415),
        ("POST", "/jobs", {"data": b" " * (2 << 20), "headers": {"Content-Type": "application/json"}}, 413),
        ("POST", "/jobs", {"json": {}}, 422),
        ("POST", "/jobs", {"data": b"null", "headers": {"Content-Type": "application/json"}}, 422),
        ("POST", "/jobs", {"json": [1]}, 422),
        ("POST", "/jobs", {"json": {"input_path": "uploads/a", "output_format": "mp4", "option": {}}}, 422),
        ("POST", "/jobs", {"json": {"input_path": "uploads/a", "output_format": "mp4", "options": {"x": 1}}}, 422),
        ("POST", "/jobs", {"json": {"input_path": "uploads/a", "output_format": "lavfi"}}, 422),
        ("POST", "/upload/request", {"json": {"filename": "a", "size": 10**40}}, 422),
        ("POST", "/upload/request", {"json": {"filename": "a", "size": -1}}, 422),
        ("POST", "/upload/request", {"json": {"filename": "a", "content_type": "a\r\nb"}}, 422),
        ("GET", "/jobs?limit=0", {}, 422),
        ("GET", "/jobs?limit=x", {}, 422),
        ("GET", "/jobs?status=DONE", {}, 422),
        ("GET", "/jobs?cursor=nonsense", {}, 422),
        ("GET", "/s3/multipart/x", {}, 422),
        ("GET", "/s3/multipart/x/0?key=uploads/a.mp4", {}, 422),
        ("GET", "/s3/multipart/x/99999?key=uploads/a.mp4", {}, 422),
        ("GET", "/s3/params?filename=a&type=video/mp4", {}, 501),
        ("POST", "/dead-letters/0/redrive", {}, 422),
        ("POST", "/dead-letters/99999999/redrive", {}, 404),
    ],
)
async def test_every_error_is_a_problem(
    api: Api, method: str, path: str, arguments: dict[str, Any], status: int
) -> None:
    found, problem, headers = await api.call(method, path, **arguments)
    assert found == status, problem
    assert headers["Content-Type"].startswith("application/problem+json")
    assert problem["status"] == status
    assert problem["title"]
    assert problem["detail"]
    if status == 422:
        assert problem["errors"][0]["message"]
    assert "Traceback" not in str(problem)


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"GET /jobs\x01 HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /jobs HTTP/1.1\r\nHost: a\r\nX: \x00\r\n\r\n",
        b"GET /jobs HTTP/1.1\r\nHost: a\r\nContent-Length: x\r\n\r\n",
        b"GET /jobs HTTP/1.1\r\nHost: a\r\nX: " + b"x" * 70_000 + b"\r\n\r\n",
    ],
)
async def test_even_what_is_no_http_is_answered_by_a_problem(gateway: Stack, request_bytes: bytes) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.settings.gateway_port)
    writer.write(request_bytes)
    head, _, body = (await reader.read()).partition(b"\r\n\r\n")
    writer.close()
    assert b" 400 " in head
    assert b"application/problem+json" in head
    assert orjson.loads(body)["status"] == 400


async def test_odd_names_come_back_as_they_were(api: Api) -> None:
    input_path = await api.upload()
    for name in ("-x.mp4", "%d", "http:a.mp4", "x" * 300, "🎬.mov", "a\tb", "'; DROP TABLE jobs; --"):
        job = await api.submit(input_path, filename=name)
        assert (await api.job(job["job_id"]))["filename"] == name
    job = await api.submit(input_path, filename="a\0b")
    assert (await api.job(job["job_id"]))["filename"] == "a\ufffdb"


# The rest


async def test_formats(api: Api) -> None:
    status, formats, _ = await api.get("/formats")
    assert status == 200
    assert {"mp4", "webm", "mkv", "mov", "gif", "mp3"} <= {fmt["name"] for fmt in formats["formats"]}
    assert formats["limits"]["max_upload_size"] == LIMIT
    assert "properties" in formats["options"]


async def test_a_ticket_for_the_push_channel(api: Api, gateway: Stack) -> None:
    status, ticket, _ = await api.post("/ws/ticket")
    assert status == 201
    assert tickets.verify(gateway.env["TICKET_SECRET"], ticket["ticket"]) == "default"


async def test_health_metrics_and_documents(api: Api) -> None:
    for path in ("/healthz", "/readyz"):
        status, body, _ = await api.get(path)
        assert status == 200, body
    await api.submit()
    _, text, _ = await api.get("/metrics")
    assert b'api_requests_total{method="POST",route="/jobs",status="201"}' in text
    assert b"api_ingestion_rate_total" in text
    status, document, _ = await api.get("/openapi.json")
    assert document["openapi"].startswith("3.1")
    status, page, headers = await api.get("/docs")
    assert status == 200
    assert b"http" not in page.replace(b"http-equiv", b"")
    assert "script-src 'self'" in headers["Content-Security-Policy"]
    for name in ("docs.js", "docs.css"):
        assert (await api.get(f"/docs-assets/{name}"))[0] == 200
    assert (await api.get("/docs-assets/../auth.py"))[0] == 404


async def test_dead_letters_end_their_jobs_and_can_be_tried_again(api: Api, seat: Seat) -> None:
    job = await api.submit()
    queue = await seat.channel.get_queue("video-jobs", ensure=False)

    async def rejected() -> bool:
        message = await queue.get(fail=False)
        if message is None:
            return False
        await message.reject(requeue=False)
        return job["job_id"].encode() in message.body

    await eventually(rejected)
    failed = await api.becomes(job["job_id"], "FAILED")
    assert failed["error"]["code"] == "worker_lost"
    _, letters, _ = await api.get("/dead-letters?limit=200")
    [letter] = [one for one in letters["dead_letters"] if one["job_id"] == job["job_id"]]
    assert letter["reason"] == "worker_lost"
    status, _, _ = await api.post(f"/dead-letters/{letter['id']}/redrive")
    assert status == 202
    assert (await api.job(job["job_id"]))["attempt"] == 2
    assert (await api.post(f"/dead-letters/{letter['id']}/redrive"))[0] == 409


async def test_metrics_know_the_backlog(api: Api) -> None:
    await api.submit()

    async def counted() -> bool:
        _, text, _ = await api.get("/metrics")
        depth = re.search(rb"^video_queue_depth (\d+)", text, re.MULTILINE)
        return depth is not None and int(depth[1]) > 0

    await eventually(counted)


async def test_secrets_are_in_no_log(gateway: Stack, api: Api) -> None:
    await api.upload()
    log = gateway.log("gateway")
    for secret in (gateway.s3.secret_key, gateway.env["TICKET_SECRET"], "X-Amz-Signature", gateway.amqp_url):
        assert secret not in log
