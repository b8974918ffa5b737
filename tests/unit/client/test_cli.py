"""The command line as its users meet it: a process, its two outputs, its exit status, its reaction to signals."""

import asyncio
import os
import signal
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import orjson
import pytest
from aiohttp import web
from typer.testing import CliRunner

from services.client.cli.app import app
from services.client.sources import MIB
from tests.stack import eventually
from tests.unit.client.fake import FakeService, cut

ROOT = Path(__file__).resolve().parents[3]


@dataclass
class Done:
    status: int
    out: str
    err: str

    @property
    def lines(self) -> list[dict[str, object]]:
        return [orjson.loads(line) for line in self.out.splitlines()]


Cvc = Callable[..., Awaitable[Done]]


@pytest.fixture
def environment(fake: FakeService, tmp_path: Path) -> dict[str, str]:
    own = {"CVC_URL": fake.url, "HOME": str(tmp_path), "PYTHONPATH": str(ROOT), "COLUMNS": "100"}
    return {"PATH": os.environ["PATH"], **own}


async def start(
    environment: dict[str, str], tmp_path: Path, *arguments: str, piped: bool = False
) -> asyncio.subprocess.Process:
    return await asyncio.create_subprocess_exec(
        sys.executable, "-m", "services.client", *arguments,
        cwd=tmp_path, env=environment, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE,
        stdin=asyncio.subprocess.PIPE if piped else asyncio.subprocess.DEVNULL,
    )  # fmt: skip


async def end(process: asyncio.subprocess.Process, given: bytes | None = None) -> Done:
    async with asyncio.timeout(60):
        out, err = await process.communicate(given)
    assert process.returncode is not None
    return Done(process.returncode, out.decode(errors="replace"), err.decode())


@pytest.fixture
def cvc(environment: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Cvc:
    """Run it in a thread of this process, which is much quicker than one of its own."""
    monkeypatch.chdir(tmp_path)
    for name in ("CVC_API_KEY", "CVC_CONFIG", "CVC_PROFILE", "XDG_CONFIG_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)

    async def run(*arguments: str, given: bytes | None = None, **more: str) -> Done:
        with monkeypatch.context() as patch:
            for name, value in {**environment, **more}.items():
                patch.setenv(name, value)
            invoke = partial(CliRunner().invoke, app, arguments, input=given)
            result = await asyncio.to_thread(invoke)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return Done(result.exit_code, result.stdout, result.stderr)

    return run


@pytest.fixture
def films(tmp_path: Path) -> list[Path]:
    paths = [tmp_path / name for name in ("a.avi", "b.avi")]
    for path in paths:
        path.write_bytes(os.urandom(1000))
    return paths


def at_once(fake: FakeService, kind: str = "completed") -> None:
    """Have every job end as soon as it is made."""
    running: set[asyncio.Task[None]] = set()

    async def move(job_id: str) -> None:
        await fake.event(job_id, "started", stage="transcoding")
        await fake.progress(job_id, 50.0)
        if kind == "completed":
            await fake.complete_job(job_id, f"made by {job_id}".encode())
        else:
            error = {"code": "no_video", "message": "There is no picture in it."}
            await fake.event(job_id, kind, error=error, stage=None)

    fake.on_submit = lambda job: running.add(asyncio.create_task(move(job["job_id"])))


async def test_files_are_converted_and_lie_where_they_were_wanted(
    fake: FakeService, cvc: Cvc, films: list[Path], tmp_path: Path
) -> None:
    at_once(fake)
    done = await cvc("convert", "a.avi", "*.avi", "--to", "mp4", "--max-height", "720", "-o", "out/")
    assert (done.status, done.out) == (0, "")
    made = {path.name: path.read_text() for path in (tmp_path / "out").iterdir()}
    names = {job["filename"]: job["job_id"] for job in fake.jobs.values()}
    assert made == {"a.mp4": f"made by {names['a.avi']}", "b.mp4": f"made by {names['b.avi']}"}
    assert [fake.objects[job["input_path"]] for job in sorted(fake.jobs.values(), key=lambda job: job["filename"])] == [
        path.read_bytes() for path in films
    ]
    assert {orjson.dumps(job["options"]) for job in fake.jobs.values()} == {b'{"max_height":720}'}
    for words in ("a.avi: uploading", "a.avi: done, out/a.mp4", "b.avi: done, out/b.mp4"):
        assert words in done.err


async def test_a_file_that_fails_is_told_with_its_reason_and_does_not_stop_the_others(
    fake: FakeService, cvc: Cvc, films: list[Path], tmp_path: Path
) -> None:
    async def move(job: dict[str, object]) -> None:
        if job["filename"] == "a.avi":
            error = {"code": "no_video", "message": "There is no picture in it."}
            await fake.event(str(job["job_id"]), "failed", error=error)
        else:
            await fake.complete_job(str(job["job_id"]))

    tasks: list[asyncio.Task[None]] = []
    fake.on_submit = lambda job: tasks.append(asyncio.create_task(move(job)))
    done = await cvc("convert", "a.avi", "b.avi", "--to", "mp4")
    assert done.status == 1
    assert "a.avi: failed: There is no picture in it." in done.err
    assert (tmp_path / "b.mp4").exists()
    assert not (tmp_path / "a.mp4").exists()


async def test_a_pipe_goes_in_and_out(fake: FakeService, cvc: Cvc) -> None:
    at_once(fake)
    done = await cvc("convert", "-", "--to", "mp3", "--name", "my film.avi", given=b"through the pipe")
    assert (done.status, done.out) == (0, "made by job-1")
    assert fake.jobs["job-1"]["filename"] == "my film.avi"
    assert fake.objects[fake.jobs["job-1"]["input_path"]] == b"through the pipe"
    assert "download" in done.err


async def test_json_tells_each_step_and_the_end(fake: FakeService, cvc: Cvc, films: list[Path]) -> None:
    at_once(fake)
    done = await cvc("convert", "a.avi", "--to", "mp4", "--json", "--delete")
    assert done.status == 0
    assert done.lines[0]["event"] == "uploading"
    assert {line["file"] for line in done.lines} == {"a.avi"}
    last = done.lines[-1]
    assert (last["event"], last["output"]) == ("done", "a.mp4")
    assert last["job"]["status"] == "COMPLETED"  # type: ignore[index]
    assert fake.jobs == {}
    at_once(fake, "failed")
    failed = (await cvc("convert", "b.avi", "--to", "mp4", "--json")).lines[-1]
    assert (failed["event"], failed["code"], failed["message"]) == ("failed", "no_video", "There is no picture in it.")


@pytest.mark.parametrize("signum", [signal.SIGINT, signal.SIGTERM])
async def test_a_signal_cancels_the_jobs_that_were_made(
    fake: FakeService, environment: dict[str, str], films: list[Path], tmp_path: Path, signum: signal.Signals
) -> None:
    process = await start(environment, tmp_path, "convert", "a.avi", "b.avi", "--to", "mp4")
    await eventually(lambda: len(fake.jobs) == 2)
    process.send_signal(signum)
    done = await end(process)
    assert done.status == 128 + signum
    assert [job["status"] for job in fake.jobs.values()] == ["CANCELLED", "CANCELLED"]
    assert "Cancelling 2 jobs" in done.err
    assert "Traceback" not in done.err


async def test_a_signal_during_a_submission_cancels_that_job_too(
    fake: FakeService, environment: dict[str, str], films: list[Path], tmp_path: Path
) -> None:
    interrupted = asyncio.Event()

    async def slow(request: web.Request) -> web.StreamResponse:
        answer = await fake.submit(request)
        await interrupted.wait()
        return answer

    fake.faults["POST /api/jobs"] = [slow]
    process = await start(environment, tmp_path, "convert", "a.avi", "--to", "mp4")
    await eventually(lambda: fake.jobs)
    process.send_signal(signal.SIGINT)
    interrupted.set()
    assert (await end(process)).status == 130
    assert fake.jobs["job-1"]["status"] == "CANCELLED"


async def test_an_upload_goes_on_where_a_killed_command_left_it(
    fake: FakeService, environment: dict[str, str], cvc: Cvc, tmp_path: Path
) -> None:
    at_once(fake)
    (tmp_path / "big.avi").write_bytes(os.urandom(12 * MIB))
    reached, killed = asyncio.Event(), asyncio.Event()

    async def hang(_: web.Request) -> web.Response:
        reached.set()
        await killed.wait()
        return web.Response(status=500)

    fake.faults["PUT /videos/{key}"] = [lambda _: None, lambda _: None, hang]
    process = await start(environment, tmp_path, "convert", "big.avi", "--to", "mp4")
    await reached.wait()
    upload = next(iter(fake.uploads.values()))
    await eventually(lambda: len(upload) == 2)
    process.kill()
    await end(process)
    killed.set()
    fake.faults.clear()
    fake.seen.clear()
    done = await cvc("convert", "big.avi", "--to", "mp4")
    assert done.status == 0
    assert fake.seen["PUT /videos/{key}"] == 1
    assert fake.seen["POST /api/s3/multipart"] == 0
    assert fake.objects[fake.jobs["job-1"]["input_path"]] == (tmp_path / "big.avi").read_bytes()


async def test_jobs_can_be_made_and_left_alone(fake: FakeService, cvc: Cvc, films: list[Path]) -> None:
    done = await cvc("convert", "a.avi", "b.avi", "--to", "mp4", "--detach")
    assert (done.status, sorted(done.out.split())) == (0, ["job-1", "job-2"])
    assert [job["status"] for job in fake.jobs.values()] == ["QUEUED", "QUEUED"]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["a.avi", "--to", "xyz"], "--to xyz: choose one of mp4, mp3."),
        (["a.avi", "--to", "mp4", "--quality", "99"], "--quality: "),
        (["nope.avi", "--to", "mp4"], "nope.avi does not exist."),
        (["a.avi", "--to", "mp4", "-o", "-", "--json"], "can't both go to stdout"),
        (["a.avi", "--to", "mp4", "-o", "b.avi"], "exists already"),
        (["a.avi"], "--to"),
    ],
)
async def test_what_can_not_be_is_told_before_anything_is_sent(
    fake: FakeService, cvc: Cvc, films: list[Path], arguments: list[str], words: str
) -> None:
    done = await cvc("convert", *arguments)
    assert done.status == 2
    assert words in done.err
    assert not fake.uploads
    assert not fake.objects


async def test_a_file_over_the_limit_is_not_sent_for_nothing(fake: FakeService, cvc: Cvc, tmp_path: Path) -> None:
    with (tmp_path / "big.avi").open("wb") as file:
        file.truncate((64 << 20) + 1)
    done = await cvc("convert", "big.avi", "--to", "mp4")
    assert (done.status, "67.1 MB" in done.err) == (2, True)
    assert not fake.uploads


async def test_the_status_tells_what_kind_of_trouble_it_is(fake: FakeService, cvc: Cvc) -> None:
    gone = await cvc("jobs", "--url", "http://127.0.0.1:1", "--patience", "0")
    assert (gone.status, gone.err) == (3, "Nothing answers at http://127.0.0.1:1: connection refused.\n")
    assert (await cvc("jobs", "nobody")).status == 1
    fake.api_key = "secret"
    refused = await cvc("jobs")
    assert (refused.status, "Send an API key" in refused.err) == (4, True)
    assert (await cvc("--url", fake.url, "jobs", CVC_API_KEY="secret", CVC_URL="http://127.0.0.1:1")).status == 0
    assert (await cvc("jobs", "--profile", "none")).status == 2


async def test_jobs_are_listed_shown_and_acted_on(fake: FakeService, cvc: Cvc) -> None:
    fake.make_job("one", filename="evil\x1b[31m.avi")
    fake.make_job("two", status="FAILED", error={"code": "no_video", "message": "There is no picture."})
    listed = await cvc("jobs")
    assert listed.out.splitlines()[1].split()[0] == "two"
    assert "There is no picture." in listed.out
    assert "\x1b" not in listed.out
    assert [job["job_id"] for job in orjson.loads((await cvc("jobs", "--json", "--status", "queued")).out)] == ["one"]
    assert "no_video" in (await cvc("jobs", "two")).out
    assert (await cvc("retry", "two")).status == 0
    assert fake.jobs["two"]["attempt"] == 2
    mixed = await cvc("cancel", "one", "nobody", "two", "--json")
    assert mixed.status == 1
    assert [line.get("status") for line in mixed.lines] == ["CANCELLED", 404, "CANCELLED"]
    assert (await cvc("delete", "one", "two")).status == 0
    assert fake.jobs == {}
    fake.make_job("three")
    assert (await cvc("delete", "--force", "three")).status == 0


async def test_watching_tells_each_event_and_ends_with_the_jobs(
    fake: FakeService, environment: dict[str, str], tmp_path: Path, cvc: Cvc
) -> None:
    fake.make_job("one")
    fake.make_job("old", status="COMPLETED")
    process = await start(environment, tmp_path, "watch", "--json")
    await eventually(lambda: fake.subscriptions)
    await fake.progress("one", 10.0)
    await fake.complete_job("one")
    done = await end(process)
    assert done.status == 0
    assert [line["type"] for line in done.lines] == ["snapshot", "job.progress", "job.completed"]
    assert {line["job"]["job_id"] for line in done.lines} == {"one"}  # type: ignore[index]
    assert "No job is running" in (await cvc("watch")).err
    fake.make_job("bad", status="FAILED", error={"code": "no_video", "message": "No picture."})
    assert (await cvc("watch", "bad", "one")).status == 1


async def test_results_are_fetched_by_job_when_they_are_there(
    fake: FakeService, environment: dict[str, str], tmp_path: Path, cvc: Cvc
) -> None:
    fake.make_job("one", status="PROCESSING")
    process = await start(environment, tmp_path, "download", "one", "--json")
    await eventually(lambda: fake.subscriptions)
    await fake.complete_job("one", b"data")
    done = await end(process)
    assert done.lines == [{"job_id": "one", "output": "holiday.mp4", "size": 4}]
    assert (tmp_path / "holiday.mp4").read_bytes() == b"data"
    assert (await cvc("download", "one")).status == 2
    assert (await cvc("download", "one", "-o", "x/y.mp4")).status == 0


async def test_the_service_is_described(fake: FakeService, cvc: Cvc, films: list[Path]) -> None:
    assert "mp4" in (await cvc("formats")).out
    assert orjson.loads((await cvc("formats", "--json")).out)["formats"][1]["name"] == "mp3"
    planned = await cvc("plan", "a.avi", "--to", "mp4")
    assert "h264" in planned.out
    assert "Estimated time: 2.5 s" in planned.out
    assert len((await cvc("dead-letters", "--json", "-n", "3")).lines[0]) == 3
    checked = await cvc("check-db")
    assert (checked.status, "broker: gone" in checked.err) == (1, True)
    assert "check_db.py" in checked.out
    assert "asks for no key" in (await cvc("keys")).err
    fake.api_key = "secret"
    assert (await cvc("keys")).status == 4
    assert "takes your key" in (await cvc("keys", CVC_API_KEY="secret")).err


async def test_completion_can_be_had(cvc: Cvc) -> None:
    # By its name: there need be no shell above the tests that could be found out.
    done = await cvc("--show-completion", "bash", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert done.status == 0
    assert "complete" in done.out


async def test_a_reader_that_has_seen_enough_is_no_error(
    fake: FakeService, environment: dict[str, str], tmp_path: Path
) -> None:
    for n in range(300):
        fake.make_job(f"job-{n}")
    process = await start(environment, tmp_path, "jobs", "--all")
    assert process.stdout is not None
    await process.stdout.readline()
    process.stdout._transport.close()  # type: ignore[attr-defined]
    assert process.stderr is not None
    assert b"Traceback" not in await process.stderr.read()
    await process.wait()


async def test_a_lost_feed_does_not_lose_the_conversion(
    fake: FakeService, environment: dict[str, str], films: list[Path], tmp_path: Path
) -> None:
    process = await start(environment, tmp_path, "convert", "a.avi", "--to", "mp4")
    await eventually(lambda: fake.subscriptions)
    fake.faults["GET /ws"] = [cut]
    await fake.drop()
    await fake.complete_job("job-1")
    assert (await end(process)).status == 0
    assert (tmp_path / "a.mp4").exists()
