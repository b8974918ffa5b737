"""Uploads and downloads: whole, in order, resumable, and never half of a file taken for one."""

import io
import os
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
from aiohttp import web

from services.client import (
    Client,
    ConflictError,
    DownloadError,
    NotFoundError,
    TooLargeError,
    UnreachableError,
    UploadError,
    UploadRef,
)
from services.client.sources import MIB, FileSource, StreamSource, part_size_for
from tests.stack import eventually
from tests.unit.client.fake import FakeService, Fault, cut, etag, problem

PUT = "PUT /videos/{key}"
GET = "GET /videos/{key}"


@pytest.fixture
def film(tmp_path: Path) -> Path:
    """Three parts, all different."""
    path = tmp_path / "my film.avi"
    path.write_bytes(os.urandom(11 * MIB))
    return path


# --- uploads ---


async def test_a_file_arrives_whole_by_parts_and_tells_how_far_it_is(
    fake: FakeService, client: Client, film: Path
) -> None:
    told: list[tuple[int, int | None]] = []
    uploaded = await client.upload(film, on_progress=lambda *step: told.append(step))
    assert fake.objects[uploaded.input_path] == film.read_bytes()
    assert (uploaded.filename, uploaded.size) == ("my film.avi", 11 * MIB)
    assert fake.seen[PUT] == 3
    begun = next(body for name, _, _, body in fake.requests if name == "POST /api/s3/multipart")
    assert begun == {"filename": "my film.avi", "type": "video/x-msvideo", "metadata": {"size": 11 * MIB}}
    done = [step for step, _ in told]
    assert done == sorted(set(done))
    assert told[-1] == (11 * MIB, 11 * MIB)
    assert len(told) > 10


async def test_a_part_that_is_cut_off_or_refused_is_sent_again_by_a_new_address(
    fake: FakeService, client: Client, film: Path
) -> None:
    fake.faults[PUT] = [cut, lambda _: web.Response(status=403), lambda _: web.Response(status=503)]
    uploaded = await client.upload(film, parallel=1)
    assert fake.objects[uploaded.input_path] == film.read_bytes()
    assert fake.seen["GET /api/s3/multipart/{id}/{n}"] == 6


async def test_progress_never_falls_when_a_part_begins_again(fake: FakeService, client: Client, film: Path) -> None:
    async def read_all_and_cut(request: web.Request) -> None:
        await request.read()
        cut(request)

    fake.faults[PUT] = [read_all_and_cut]
    done: list[int] = []
    await client.upload(film, parallel=1, on_progress=lambda step, _: done.append(step))
    assert done == sorted(set(done))


async def test_an_upload_goes_on_where_another_client_was_cut_off(fake: FakeService, film: Path) -> None:
    begun: list[UploadRef] = []
    fake.faults[PUT] = [lambda _: None] * 2 + [cut] * 10
    async with Client(fake.url, patience_s=0) as first:
        with pytest.raises(UnreachableError):
            await first.upload(film, parallel=1, on_begun=begun.append)
    fake.faults.clear()
    fake.seen.clear()
    async with Client(fake.url) as second:
        uploaded = await second.upload(film, resume=begun[0])
    assert fake.seen[PUT] == 1
    assert fake.seen["POST /api/s3/multipart"] == 0
    assert fake.objects[uploaded.input_path] == film.read_bytes()


async def test_parts_of_an_older_version_of_the_file_are_sent_again(
    fake: FakeService, client: Client, film: Path
) -> None:
    begun: list[UploadRef] = []
    fake.faults["POST /api/s3/multipart/{id}/complete"] = [lambda _: problem(422, "Not now.")]
    with pytest.raises(Exception, match="Not now"):
        await client.upload(film, on_begun=begun.append)
    data = bytearray(film.read_bytes())
    data[6 * MIB] ^= 1
    film.write_bytes(data)
    fake.seen.clear()
    uploaded = await client.upload(film, resume=begun[0])
    assert fake.seen[PUT] == 1
    assert fake.objects[uploaded.input_path] == bytes(data)


async def test_an_upload_that_the_store_has_forgotten_begins_anew(
    fake: FakeService, client: Client, film: Path
) -> None:
    gone = UploadRef(upload_id="gone", key="uploads/gone.avi", part_size=5 * MIB)
    uploaded = await client.upload(film, resume=gone)
    assert fake.objects[uploaded.input_path] == film.read_bytes()


async def test_an_upload_that_the_store_forgets_on_the_way_begins_anew(
    fake: FakeService, client: Client, film: Path
) -> None:
    def forget(request: web.Request) -> web.Response:
        fake.uploads.clear()
        return web.Response(status=404)

    fake.faults[PUT] = [lambda _: None, forget]
    begun: list[UploadRef] = []
    uploaded = await client.upload(film, parallel=1, on_begun=begun.append)
    assert fake.objects[uploaded.input_path] == film.read_bytes()
    assert uploaded.size == film.stat().st_size
    assert [ref.upload_id for ref in begun] == ["up/1", "up/1"]
    fake.faults[PUT] = [forget] * 9
    with pytest.raises(UploadError, match="forgets this upload again and again"):
        await client.upload(film, parallel=1)
    fake.faults[PUT] = [forget]
    with pytest.raises(UploadError, match="has forgotten this upload"):
        await client.upload(io.BytesIO(b"x"))


async def test_a_lost_answer_to_the_completion_is_no_failure(fake: FakeService, client: Client, film: Path) -> None:
    async def complete_and_cut(request: web.Request) -> None:
        await fake.complete(request)
        cut(request)

    fake.faults["POST /api/s3/multipart/{id}/complete"] = [complete_and_cut]
    uploaded = await client.upload(film)
    assert fake.objects[uploaded.input_path] == film.read_bytes()


async def test_a_stream_is_sent_as_it_comes(fake: FakeService, client: Client) -> None:
    data = os.urandom(20 * MIB + 5)

    async def pieces() -> AsyncIterator[bytes]:
        for start in range(0, len(data), 1_000_003):
            yield data[start : start + 1_000_003]

    for source in (io.BytesIO(data), pieces()):
        uploaded = await client.upload(source, filename="x.mkv")
        assert fake.objects[uploaded.input_path] == data
        assert uploaded.size == len(data)


async def test_a_stream_that_fails_leaves_nothing_in_the_store(fake: FakeService, client: Client) -> None:
    fake.faults[PUT] = [lambda _: web.Response(status=413)]
    with pytest.raises(UploadError, match="larger than what is accepted") as caught:
        await client.upload(io.BytesIO(b"x" * MIB), filename="x.mkv")
    assert fake.uploads == {}
    assert caught.value.resume is None


async def test_the_servers_refusal_of_the_size_is_told(fake: FakeService, client: Client, film: Path) -> None:
    fake.faults["POST /api/s3/multipart/{id}/complete"] = [lambda _: problem(413, "At most 1 GB.")]
    with pytest.raises(TooLargeError, match="At most 1 GB"):
        await client.upload(film)


async def test_what_can_not_be_read_is_told_before_anything_is_sent(
    fake: FakeService, client: Client, tmp_path: Path
) -> None:
    (tmp_path / "empty.avi").touch()
    for name, words in (("no.avi", "No such file"), ("empty.avi", "is empty"), (".", "Is a directory")):
        with pytest.raises(UploadError, match=words):
            await client.upload(tmp_path / name)
    assert not fake.seen


async def test_a_file_that_shrinks_on_the_way_is_no_upload(fake: FakeService, client: Client, film: Path) -> None:
    async def shrink(request: web.Request) -> None:
        await request.read()
        os.truncate(film, 6 * MIB)

    fake.faults[PUT] = [shrink]
    with pytest.raises(UploadError, match="became shorter"):
        await client.upload(film, parallel=1)
    assert not fake.objects


async def test_a_file_that_changes_on_the_way_is_no_upload(fake: FakeService, client: Client, film: Path) -> None:
    async def touch(_: web.Request) -> None:
        os.utime(film, ns=(1, 1))

    fake.faults[PUT] = [touch]
    with pytest.raises(UploadError, match="was changed"):
        await client.upload(film)
    assert not fake.objects


def test_parts_grow_with_the_file_and_never_pass_what_a_store_takes() -> None:
    assert part_size_for(1) == 5 * MIB
    assert part_size_for(1000 * MIB) == 5 * MIB
    assert part_size_for(1001 * MIB) == 6 * MIB
    for size in (1, 10**9, 10**12, 5 * 10**12):
        assert size / part_size_for(size) <= 200


async def test_parts_cover_the_file_once(tmp_path: Path) -> None:
    path = tmp_path / "x"
    path.write_bytes(bytes(range(256)) * 10)
    source = FileSource(path, 1000)
    parts = [part async for part in source.parts()]
    assert [(part.number, part.size) for part in parts] == [(1, 1000), (2, 1000), (3, 560)]
    assert b"".join([chunk for part in parts async for chunk in part.chunks()]) == path.read_bytes()
    assert [f'"{await part.md5()}"' for part in parts[:1]] == [etag(path.read_bytes()[:1000])]


@pytest.mark.parametrize(("size", "sizes"), [(1, [1]), (10, [10]), (11, [10, 1]), (20, [10, 10])])
async def test_a_stream_is_cut_exactly(size: int, sizes: list[int]) -> None:
    parts = [part async for part in StreamSource(io.BytesIO(b"x" * size), part_size=10).parts()]
    assert [part.size for part in parts] == sizes


async def test_an_empty_stream_is_refused() -> None:
    with pytest.raises(UploadError, match="nothing to read"):
        await anext(StreamSource(io.BytesIO(b"")).parts())


# --- downloads ---


async def finished(fake: FakeService, output: bytes) -> str:
    fake.make_job("a")
    await fake.complete_job("a", output)
    return "a"


async def test_an_output_is_written_whole_and_nothing_beside_it(
    fake: FakeService, client: Client, tmp_path: Path
) -> None:
    data = os.urandom(2 * MIB)
    done: list[tuple[int, int | None]] = []
    info = await client.download(await finished(fake, data), tmp_path / "b.mp4", on_progress=lambda *s: done.append(s))
    assert [path.name for path in tmp_path.iterdir()] == ["b.mp4"]
    assert (tmp_path / "b.mp4").read_bytes() == data
    assert (info.filename, info.size) == ("holiday.mp4", 2 * MIB)
    assert done[0] == (0, 2 * MIB)
    assert done[-1] == (2 * MIB, 2 * MIB)


def half_and_cut(data: bytes, arrived: Callable[[], int]) -> Fault:
    """Send one half, and break the connection when it has `arrived`."""

    async def fault(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"ETag": etag(data), "Content-Length": str(len(data))})
        await response.prepare(request)
        await response.write(data[: len(data) // 2])
        await eventually(lambda: arrived() == len(data) // 2)
        cut(request)
        return response

    return fault


def size_of_part(directory: Path) -> int:
    return sum(path.stat().st_size for path in directory.glob(".*.part"))


@pytest.mark.parametrize("ranges", [True, False])
async def test_a_download_goes_on_where_it_was_cut_off(
    fake: FakeService, client: Client, tmp_path: Path, ranges: bool
) -> None:
    data = os.urandom(MIB)

    async def all_of_it(_: web.Request) -> web.Response:
        return web.Response(body=data, headers={"ETag": etag(data)})

    rest: list[Fault] = [lambda _: web.Response(status=403)] + ([] if ranges else [all_of_it])
    fake.faults[GET] = [half_and_cut(data, lambda: size_of_part(tmp_path)), *rest]
    job_id = await finished(fake, data)
    await client.download(job_id, tmp_path / "b.mp4")
    assert (tmp_path / "b.mp4").read_bytes() == data
    gets = [headers.get("Range") for name, _, headers, _ in fake.requests if name == GET]
    assert gets == [None, f"bytes={MIB // 2}-", f"bytes={MIB // 2}-"]
    pipe = io.BytesIO()
    fake.faults[GET] = [half_and_cut(data, pipe.tell), *rest]
    await client.download(job_id, pipe)
    assert pipe.getvalue() == data


async def test_a_download_goes_on_in_another_process(fake: FakeService, tmp_path: Path) -> None:
    data = os.urandom(MIB)
    fake.faults[GET] = [half_and_cut(data, lambda: size_of_part(tmp_path)), *[cut] * 10]
    job_id = await finished(fake, data)
    async with Client(fake.url, patience_s=0) as first:
        with pytest.raises(UnreachableError):
            await first.download(job_id, tmp_path / "b.mp4")
    assert not (tmp_path / "b.mp4").exists()
    fake.faults.clear()
    async with Client(fake.url) as second:
        await second.download(job_id, tmp_path / "b.mp4")
    assert (tmp_path / "b.mp4").read_bytes() == data
    assert [headers["Range"] for name, _, headers, _ in fake.requests[-1:]] == [f"bytes={MIB // 2}-"]


async def test_an_output_that_changes_on_the_way_is_an_error_and_no_file(
    fake: FakeService, client: Client, tmp_path: Path
) -> None:
    data = os.urandom(MIB)
    fake.faults[GET] = [half_and_cut(data, lambda: size_of_part(tmp_path))]
    job_id = await finished(fake, b"other" + data[5:])
    with pytest.raises(DownloadError, match="has changed"):
        await client.download(job_id, tmp_path / "b.mp4")
    assert list(tmp_path.iterdir()) == []


async def test_a_target_that_can_not_be_written_is_told(fake: FakeService, client: Client, tmp_path: Path) -> None:
    job_id = await finished(fake, b"x")
    with pytest.raises(DownloadError, match="can't be written"):
        await client.download(job_id, tmp_path / "no" / "b.mp4")
    with pytest.raises(NotFoundError):
        await client.download("nobody", tmp_path / "b.mp4")


async def test_an_end_that_the_api_has_not_heard_of_yet_is_waited_for(
    fake: FakeService, client: Client, tmp_path: Path
) -> None:
    """The push channel may be faster than the database."""
    fake.make_job("a", status="PROCESSING")
    async with client.watch(["a"]) as events:
        await anext(events)
        behind = dict(fake.jobs["a"])
        await fake.complete_job("a", b"data")
        assert (await anext(events)).job.done
    fake.faults["GET /api/jobs/{id}"] = [lambda _: web.json_response(behind)] * 2
    await client.download("a", tmp_path / "b.mp4")
    assert (tmp_path / "b.mp4").read_bytes() == b"data"
    asked = [path for name, path, _, _ in fake.requests if name == "GET /api/jobs/{id}"]
    assert asked == ["/api/jobs/a", "/api/jobs/a?wait=10", "/api/jobs/a?wait=10"]


async def test_a_job_that_runs_is_not_waited_for_by_a_download(
    fake: FakeService, client: Client, tmp_path: Path
) -> None:
    fake.make_job("a", status="PROCESSING")
    with pytest.raises(ConflictError):
        await client.download("a", tmp_path / "b.mp4")
    assert list(tmp_path.iterdir()) == []
