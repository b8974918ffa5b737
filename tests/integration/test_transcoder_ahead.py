"""Which message a busy transcoder takes, and when: the next one just before it is needed, and no sooner."""

from collections.abc import AsyncIterator

import pytest_asyncio

from services.common import topology
from tests.integration.broker_client import Watcher, watching
from tests.media_files import MediaFiles
from tests.stack import Stack, eventually


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def watcher(own_stack: Stack) -> AsyncIterator[Watcher]:
    await own_stack.start("transcoder", env={"WORKER_CONCURRENCY": "1"})
    async with watching(own_stack) as made:
        yield made


async def _further(watcher: Watcher, job_id: str, *, than: int = 0) -> int:
    """The count of progress events of `job_id`, once it is more than it was and ffmpeg is at work."""

    def count() -> int:
        events = [e for e in watcher.of(job_id, "progress") if e["progress"]["percent"]]
        return len(events) if len(events) > than else 0

    return await eventually(count, timeout=60)


async def test_the_next_job_is_left_to_others_while_the_one_at_hand_goes_on(watcher: Watcher, media: MediaFiles):
    source = await watcher.put(media.slow(30))
    job = await watcher.request(source)
    before = await _further(watcher, job)
    waiting = await watcher.request(source)
    await _further(watcher, job, than=before + 1)
    assert await watcher.depth(topology.JOBS_QUEUE) == 1
    assert not watcher.of(waiting)
    await watcher.cancel(waiting)
    await watcher.cancel(job)
    assert (await watcher.outcome(job))["type"] == "job.cancelled"
    assert (await watcher.outcome(waiting))["type"] == "job.cancelled"


async def test_the_next_job_is_fetched_before_the_one_at_hand_is_done(watcher: Watcher, media: MediaFiles):
    source = await watcher.put(media.slow(6))
    jobs = [await watcher.request(source) for _ in range(3)]
    ends = [await watcher.outcome(job) for job in jobs]
    assert [end["type"] for end in ends] == ["job.completed"] * 3
    for end, following in zip(ends, jobs[1:], strict=False):
        (started,) = watcher.of(following, "started")
        assert started["time"] < end["time"]
        # One ffmpeg at a time all the same: no progress of the next while the one before it still makes some.
        last = [e for e in watcher.of(end["job_id"], "progress") if e["stage"] == "transcoding"][-1]
        assert all(e["time"] > last["time"] for e in watcher.of(following, "progress") if e["progress"]["fps"])
