"""The life of a job in the transcoder, on a real broker and store with real ffmpeg; no gateway, no notifier."""

import signal
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio
from aiohttp import ClientSession

from services.common import keys, topology
from tests.conftest import NewStack
from tests.integration.broker_client import Watcher, watching
from tests.media_files import MediaFiles, ffprobe
from tests.stack import Stack, eventually

SLOW = {"quality": "best"}


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watcher(own_stack: Stack) -> AsyncIterator[Watcher]:
    async with watching(own_stack) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="session")
async def transcoder(own_stack: Stack) -> Stack:
    await own_stack.start("transcoder")
    return own_stack


def descendants(pid: int) -> set[int]:
    """The processes below `pid`, as the kernel tells them."""
    found: set[int] = set()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                parent = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
            except (FileNotFoundError, ProcessLookupError):
                continue
            if parent == pid:
                found |= {int(entry.name)} | descendants(int(entry.name))
    return found


def alive(pids: set[int]) -> set[int]:
    """Those that still run; a zombie, whoever has to reap it, doesn't."""
    return {pid for pid in pids if _state(pid) not in ("", "Z")}


def _state(pid: int) -> str:
    """The letter that `ps` shows, empty for a process that is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return ""


def files_in_work(stack: Stack) -> list[Path]:
    return [path for path in (stack.data_dir / "work").rglob("*") if path.is_file() and path.name != ".lock"]


async def idle(stack: Stack) -> bool:
    """True if the transcoder has settled all that it took."""
    async with ClientSession() as session, session.get(f"{stack.transcoder_url}/metrics") as response:
        return "video_workers_busy 0" in await response.text()


async def test_a_message_with_only_four_fields_is_worked_off(
    transcoder: Stack, watcher: Watcher, media: MediaFiles, tmp_path: Path
):
    source = media.avi(4, "320x240", 25)
    job_id = await watcher.request(await watcher.put(source))
    done = await watcher.outcome(job_id)
    assert done["type"] == "job.completed"
    result = tmp_path / "result.mp4"
    await watcher.storage.download(done["output_path"], result)
    probed = ffprobe(result, "-count_frames")
    codecs = {stream["codec_type"]: stream["codec_name"] for stream in probed["streams"]}
    assert codecs == {"video": "h264", "audio": "aac"}
    assert int(next(s for s in probed["streams"] if s["codec_type"] == "video")["nb_read_frames"]) == 100
    assert abs(float(probed["format"]["duration"]) - 4) < 0.2
    assert done["outputs"][0]["size"] == result.stat().st_size
    events = watcher.of(job_id)
    assert [e["seq"] for e in events] == sorted({e["seq"] for e in events})
    assert events[0]["type"] == "job.started"


@pytest.mark.parametrize(("name", "code"), [("garbage", "not_media"), ("empty", "not_media")])
async def test_what_is_no_media_fails_at_once_with_a_sentence(
    transcoder: Stack, watcher: Watcher, media: MediaFiles, name: str, code: str
):
    job_id = await watcher.request(await watcher.put(getattr(media, name)()))
    failed = await watcher.outcome(job_id)
    assert (failed["type"], failed["error"]["code"], failed["attempt"]) == ("job.failed", code, 1)
    assert failed["error"]["message"].endswith(".")
    assert "ffmpeg" not in failed["error"]["message"]
    assert not watcher.of(job_id, "retrying")


async def test_a_missing_input_is_said(transcoder: Stack, watcher: Watcher):
    failed = await watcher.outcome(await watcher.request("uploads/nowhere.mp4"))
    assert failed["error"]["code"] == "input_missing"
    (started,) = watcher.of(failed["job_id"], "started")
    assert started["input_path"] == "uploads/nowhere.mp4"


async def test_a_body_that_is_no_json_goes_to_the_dead_letters_alone(
    transcoder: Stack, watcher: Watcher, media: MediaFiles
):
    before = await watcher.depth(topology.DEAD_QUEUE)
    await watcher.bus.publish(topology.JOBS, topology.requested("mp4"), b"{")
    job_id = await watcher.request(await watcher.put(media.mp4()))
    assert (await watcher.outcome(job_id))["type"] == "job.completed"
    await eventually(lambda: _is_depth(watcher, topology.DEAD_QUEUE, before + 1))


async def _is_depth(watcher: Watcher, queue: str, depth: int) -> bool:
    return await watcher.depth(queue) == depth


async def test_work_that_is_done_is_not_done_again(transcoder: Stack, watcher: Watcher, media: MediaFiles):
    key = await watcher.put(media.mp4())
    job_id = await watcher.request(key)
    await watcher.outcome(job_id)
    await eventually(lambda: idle(transcoder))
    await watcher.request(key, job_id=job_id)
    await watcher.seen(job_id, "completed", 2)
    assert len(watcher.of(job_id, "started")) == 1


async def test_a_job_cancelled_while_it_waited_never_begins(own_stack: Stack, watcher: Watcher, media: MediaFiles):
    await own_stack.stop("transcoder")
    job_id = await watcher.request(await watcher.put(media.mp4()))
    await watcher.cancel(job_id)
    await own_stack.start("transcoder")
    assert (await watcher.outcome(job_id))["type"] == "job.cancelled"
    assert not watcher.of(job_id, "started")


async def test_a_cancel_in_mid_job_ends_ffmpeg_and_leaves_nothing(
    transcoder: Stack, watcher: Watcher, media: MediaFiles
):
    job_id = await watcher.request(await watcher.put(media.slow(12)), options=SLOW)
    await eventually(lambda: any((e["progress"]["percent"] or 0) > 0 for e in watcher.of(job_id, "progress")))
    children = descendants(transcoder.pid("transcoder"))
    assert children
    await watcher.cancel(job_id)
    assert (await watcher.outcome(job_id))["type"] == "job.cancelled"
    await eventually(lambda: not alive(children))
    await eventually(lambda: not files_in_work(transcoder))
    assert await watcher.storage.stat(f"processed/{job_id}.mp4") is None
    assert await watcher.storage.stat(keys.outcome_key(job_id)) is None


async def test_a_retry_that_comes_before_the_cancelled_attempt_has_ended_is_not_lost_with_it(
    transcoder: Stack, watcher: Watcher, media: MediaFiles
):
    key = await watcher.put(media.slow(12))
    job_id = await watcher.request(key)
    await eventually(lambda: any((e["progress"]["percent"] or 0) > 0 for e in watcher.of(job_id, "progress")))
    await watcher.cancel(job_id)
    await watcher.request(key, job_id=job_id, attempt=2, options={"trim": {"start_s": 0, "end_s": 1}})
    done = await watcher.seen(job_id, "completed")
    assert done["attempt"] == 2
    assert [e["attempt"] for e in watcher.of(job_id, "started")] == [1, 2]


async def test_a_killed_transcoder_loses_no_job_and_leaves_no_litter(
    transcoder: Stack, watcher: Watcher, media: MediaFiles
):
    job_id = await watcher.request(await watcher.put(media.slow(12)))
    await eventually(lambda: any((e["progress"]["percent"] or 0) > 0 for e in watcher.of(job_id, "progress")))
    children = descendants(transcoder.pid("transcoder"))
    assert children
    transcoder.kill("transcoder")
    await transcoder.exited("transcoder")
    await eventually(lambda: not alive(children))
    await transcoder.start("transcoder")
    done = await watcher.outcome(job_id)
    assert (done["type"], done["attempt"]) == ("job.completed", 2)
    assert watcher.of(job_id, "retrying")[0]["attempt"] == 2
    seqs = [e["seq"] for e in watcher.of(job_id)]
    assert seqs == sorted(set(seqs))
    assert len(watcher.of(job_id, "completed")) == 1
    await eventually(lambda: not files_in_work(transcoder))


async def test_a_transcoder_told_to_stop_gives_its_job_back_with_no_attempt_used(
    own_stack: Stack, watcher: Watcher, media: MediaFiles
):
    await own_stack.stop("transcoder")
    await own_stack.start("transcoder", env={"DRAIN_TIMEOUT": "0"})
    job_id = await watcher.request(await watcher.put(media.slow(12)))
    await eventually(lambda: any((e["progress"]["percent"] or 0) > 5 for e in watcher.of(job_id, "progress")))
    own_stack.kill("transcoder", signal.SIGTERM)
    assert await own_stack.exited("transcoder") == 0
    await own_stack.start("transcoder", env={"DRAIN_TIMEOUT": "5"})
    done = await watcher.outcome(job_id)
    assert (done["type"], done["attempt"]) == ("job.completed", 1)
    percents = [e["progress"]["percent"] for e in watcher.of(job_id, "progress") if e["progress"]["percent"]]
    assert percents == sorted(percents)
    assert max(percents) <= 99.9


async def test_a_second_signal_hurries(own_stack: Stack, watcher: Watcher, media: MediaFiles):
    await own_stack.stop("transcoder")
    await own_stack.start("transcoder", env={"DRAIN_TIMEOUT": "600"})
    job_id = await watcher.request(await watcher.put(media.slow(12)))
    await eventually(lambda: any((e["progress"]["percent"] or 0) > 0 for e in watcher.of(job_id, "progress")))
    own_stack.kill("transcoder", signal.SIGTERM)
    await eventually(lambda: "draining" in own_stack.log("transcoder"))
    assert own_stack.running("transcoder")
    own_stack.kill("transcoder", signal.SIGTERM)
    assert await own_stack.exited("transcoder") == 0
    await watcher.cancel(job_id)
    await own_stack.start("transcoder", env={"DRAIN_TIMEOUT": "5"})
    assert (await watcher.outcome(job_id))["type"] == "job.cancelled"


async def test_a_transcoder_without_room_leaves_the_job_to_others(
    own_stack: Stack, watcher: Watcher, media: MediaFiles
):
    await own_stack.stop("transcoder")
    await own_stack.start("transcoder", env={"DISK_RESERVE": str(1 << 60)})
    job_id = await watcher.request(await watcher.put(media.mp4()))
    await eventually(lambda: "no_room" in own_stack.log("transcoder"))
    await own_stack.stop("transcoder")
    await own_stack.start("transcoder", env={"DISK_RESERVE": "1000000"})
    done = await watcher.outcome(job_id)
    assert (done["type"], done["attempt"]) == ("job.completed", 1)
    assert len(watcher.of(job_id, "started")) == 1


async def test_two_copies_of_a_message_run_once(transcoder: Stack, watcher: Watcher, media: MediaFiles):
    key = await watcher.put(media.slow(12))
    job_id = await watcher.request(key)
    await watcher.seen(job_id, "started")
    await watcher.request(key, job_id=job_id)
    await watcher.outcome(job_id)
    await eventually(lambda: _is_depth(watcher, topology.JOBS_QUEUE, 0))
    assert len(watcher.of(job_id, "started")) == 1


async def test_a_message_that_came_back_too_often_is_given_up(transcoder: Stack, watcher: Watcher, media: MediaFiles):
    before = await watcher.depth(topology.DEAD_QUEUE)
    job_id = await watcher.request(await watcher.put(media.mp4()), deliveries=4)
    failed = await watcher.outcome(job_id)
    assert (failed["type"], failed["error"]["code"]) == ("job.failed", "worker_lost")
    await eventually(lambda: _is_depth(watcher, topology.DEAD_QUEUE, before + 1))


async def test_a_broker_restart_in_mid_job_is_outlived(new_stack: NewStack, media: MediaFiles):
    async with new_stack(own_broker=True) as stack:
        await stack.start("epmd", "rabbitmq", "s3", "transcoder")
        async with watching(stack) as watcher:
            job_id = await watcher.request(await watcher.put(media.slow(12)))
            await eventually(lambda: any((e["progress"]["percent"] or 0) > 0 for e in watcher.of(job_id, "progress")))
            await stack.restart("rabbitmq")
            done = await watcher.outcome(job_id)
            assert (done["type"], done["attempt"]) == ("job.completed", 1)
            assert len(watcher.of(job_id, "started")) == 1
            again = await watcher.request(await watcher.put(media.mp4()))
            assert (await watcher.outcome(again))["type"] == "job.completed"


async def test_a_job_longer_than_the_brokers_patience_runs_once(new_stack: NewStack, media: MediaFiles):
    async with new_stack(own_broker=True) as stack:
        await stack.start("epmd", "rabbitmq", "s3")
        # The broker reads both when a channel opens.
        for name, value in (("consumer_timeout", 2000), ("channel_tick_interval", 500)):
            await stack.rabbitmqctl("eval", f"application:set_env(rabbit, {name}, {value}).")
        await stack.start("transcoder")
        async with watching(stack) as watcher:
            job_id = await watcher.request(await watcher.put(media.slow(12)))
            done = await watcher.outcome(job_id)
            assert (done["type"], done["attempt"]) == ("job.completed", 1)
            assert len(watcher.of(job_id, "started")) == 1
            assert "consumer_interrupted" in stack.log("transcoder")


async def test_it_stops_within_seconds_also_when_idle(transcoder: Stack):
    transcoder.kill("transcoder", signal.SIGTERM)
    assert await transcoder.exited("transcoder") == 0
