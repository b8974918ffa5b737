"""What the gateway has accepted is never lost: killed, cut off, out of room, without a broker, without a database."""

import asyncio
import contextlib
import random
import signal
from collections import Counter
from collections.abc import AsyncIterator
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import aio_pika
import aiohttp
import anyio
import orjson
import pytest
import pytest_asyncio
from aiormq.exceptions import ChannelNotFoundEntity

from tests.conftest import NewStack
from tests.faults.gate import gate
from tests.integration.gateway_world import Api, Seat, running_postgres, seated
from tests.stack import Stack, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")

WITHIN_S = 60  # an answer that takes longer than this hangs


class Load:
    """Clients that submit jobs without a pause, and remember what they were promised."""

    def __init__(self, api: Api, input_path: str) -> None:
        self._api = api
        self._wanted = {"input_path": input_path, "output_format": "mp4"}
        self.accepted: set[str] = set()
        self.answers: Counter[int] = Counter()

    async def client(self) -> None:
        while True:
            try:
                status, job, _ = await self._api.post("/jobs", json=self._wanted)
            except (aiohttp.ClientError, ConnectionError):
                await asyncio.sleep(0.05)
                continue
            self.answers[status] += 1
            if status == 201:
                self.accepted.add(job["job_id"])

    @contextlib.asynccontextmanager
    async def running(self, clients: int = 8) -> AsyncIterator[None]:
        tasks = [asyncio.create_task(self.client()) for _ in range(clients)]
        try:
            yield
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def accepts(self, more: int) -> None:
        """Wait until so many more jobs have been accepted."""
        goal = len(self.accepted) + more
        await eventually(lambda: len(self.accepted) >= goal)


async def _work_queue(connection: Any) -> Any:
    """The work queue, once there is one."""
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=200)
    try:
        return await channel.get_queue("video-jobs", ensure=True)
    except ChannelNotFoundEntity:
        return None


async def received(stack: Stack, expected: set[str]) -> Counter[str]:
    """Work off the queue until every job of `expected` has come; how often each came."""
    seen: Counter[str] = Counter()
    connection = await aio_pika.connect(stack.amqp_url)
    async with connection:
        queue = await eventually(lambda: _work_queue(connection))

        async def on_message(message: Any) -> None:
            seen[orjson.loads(message.body)["job_id"]] += 1
            await message.ack()

        await queue.consume(on_message)
        await eventually(lambda: expected <= set(seen), timeout=120)
    return seen


@pytest_asyncio.fixture(loop_scope="session")
async def small(new_stack: NewStack) -> AsyncIterator[Stack]:
    async with new_stack() as made:
        await made.start("s3", "nginx", "gateway")
        yield made


async def test_killed_at_random_moments_under_load_it_loses_nothing(small: Stack) -> None:
    chance = random.Random(4)
    async with Api(small.gateway_url) as api:
        load = Load(api, await api.upload())
        async with load.running():
            for _ in range(5):
                await load.accepts(chance.randrange(1, 60))
                small.kill("gateway", signal.SIGKILL)
                await small.exited("gateway")
                await small.start("gateway")
            await load.accepts(20)
        assert set(load.answers) <= {201, 503}
        for job_id in load.accepted:
            assert (await api.job(job_id))["status"] == "QUEUED"
        seen = await received(small, load.accepted)
    # A message whose confirmation was not yet noted is sent again; each kill leaves at most one batch of them.
    assert max(seen.values()) <= 6


async def test_sigterm_lets_requests_finish_and_exits_soon(small: Stack) -> None:
    async with Api(small.gateway_url) as api:
        job = await api.submit()
        _, _, headers = await api.get(f"/jobs/{job['job_id']}")
        load = Load(api, job["input_path"])
        async with load.running():
            await load.accepts(20)
            waiting = asyncio.create_task(
                api.get(f"/jobs/{job['job_id']}?wait=50", headers={"If-None-Match": headers["ETag"]})
            )
            await load.accepts(5)
            small.kill("gateway", signal.SIGTERM)
            assert await small.exited("gateway") == 0
            with anyio.fail_after(WITHIN_S):
                status, _, _ = await waiting
        assert status == 304
        assert "Traceback" not in small.log("gateway")
        await small.start("gateway")
        for job_id in load.accepted:
            await api.job(job_id)


async def test_connections_cut_under_load(new_stack: NewStack) -> None:
    async with new_stack() as made:
        await made.start("s3", "nginx")
        parts = urlsplit(made.amqp_url)
        async with gate(parts.port or 0) as door:
            through = urlunsplit(parts._replace(netloc=parts.netloc.replace(str(parts.port), str(door.port))))
            await made.start("gateway", env={"AMQP_URL": through})
            async with Api(made.gateway_url) as api:
                load = Load(api, await api.upload())
                async with load.running():
                    for _ in range(4):
                        await load.accepts(30)
                        await eventually(door.cut)
                    await load.accepts(30)
                assert set(load.answers) == {201}
                await received(made, load.accepted)


async def test_without_a_broker_jobs_are_accepted_and_run_later(new_stack: NewStack) -> None:
    async with new_stack() as made:
        await made.start("s3", "nginx")
        parts = urlsplit(made.amqp_url)
        async with gate(parts.port or 0) as door:
            through = urlunsplit(parts._replace(netloc=parts.netloc.replace(str(parts.port), str(door.port))))
            await door.close()
            await made.start("gateway", env={"AMQP_URL": through})
            async with Api(made.gateway_url) as api:
                load = Load(api, await api.upload())
                with anyio.fail_after(WITHIN_S):
                    async with load.running():
                        await load.accepts(600)
                assert set(load.answers) == {201}
                assert (await api.get("/readyz"))[0] == 200
                await door.open_again()
                await received(made, load.accepted)


async def test_a_memory_alarm_stops_nobody(new_stack: NewStack) -> None:
    async with new_stack(own_broker=True) as made:
        await made.start("epmd")
        await made.start("rabbitmq", "s3", "nginx", "gateway")
        async with Api(made.gateway_url) as api:
            load = Load(api, await api.upload())
            await api.submit(load._wanted["input_path"])
            await made.rabbitmqctl("set_vm_memory_high_watermark", "0.00001")
            with anyio.fail_after(WITHIN_S):
                async with load.running():
                    await load.accepts(400)
            await made.rabbitmqctl("set_vm_memory_high_watermark", "0.8")
            await received(made, load.accepted)
            before = set(load.accepted)
            # And the broker itself restarted, under load.
            async with load.running():
                await load.accepts(20)
                await made.restart("rabbitmq")
                await load.accepts(20)
            assert set(load.answers) == {201}
            await received(made, load.accepted - before)


async def test_a_deleted_queue_comes_back_and_gets_its_messages(small: Stack) -> None:
    async with Api(small.gateway_url) as api, seated(small) as seat:
        first = await api.submit()
        await received(small, {first["job_id"]})
        queue = await seat.channel.get_queue("video-jobs", ensure=False)
        await queue.delete(if_unused=False, if_empty=False)
        job = await api.submit(first["input_path"])
        await received(small, {job["job_id"]})


async def test_a_job_whose_message_was_purged_is_sent_again(new_stack: NewStack) -> None:
    env = {"SWEEP_INTERVAL": "0.3", "VANISHED_AFTER": "1s"}
    async with new_stack(env=env) as made:
        await made.start("s3", "nginx", "gateway")
        async with Api(made.gateway_url) as api, seated(made) as seat:
            job = await api.submit()
            await received(made, {job["job_id"]})  # taken, and never heard of again
            await received(made, {job["job_id"]})
            assert (await api.job(job["job_id"]))["attempt"] == 1
            await seat.tell("started", job)
            await api.becomes(job["job_id"], "PROCESSING")


async def test_a_silent_job_is_tried_again_and_then_given_up(new_stack: NewStack) -> None:
    env = {"SWEEP_INTERVAL": "0.3", "JOB_TIMEOUT": "1s", "MAX_RETRIES": "1"}
    async with new_stack(env=env) as made:
        await made.start("s3", "nginx", "gateway")
        async with Api(made.gateway_url) as api, seated(made) as seat:
            await seat.listen(("video.jobs", "#"), ("video.control", "#"), ("video.events", "job.failed.#"))
            job = await api.submit()
            await seat.tell("started", job)
            again = await eventually(lambda: _at_attempt(api, job["job_id"], 2))
            assert (await seat.hears("cancel", job["job_id"]))["attempt"] == 1
            await eventually(lambda: _requested(seat) == [1, 2])
            # The first worker was only slow: what it still says changes nothing.
            await seat.tell("completed", job, seq=again["seq"] + 100, outputs=[])
            await seat.tell("started", again)
            failed = await api.becomes(job["job_id"], "FAILED")
            assert failed["error"]["code"] == "worker_lost"
            assert (await seat.hears("failed", job["job_id"]))["attempt"] == 2


def _requested(seat: Seat) -> list[int]:
    return [message["attempt"] for key, message in seat.heard if key.startswith("job.requested")]


async def _at_attempt(api: Api, job_id: str, attempt: int) -> dict[str, Any]:
    job = await api.job(job_id)
    assert job["attempt"] == attempt
    return job


async def test_after_a_crash_the_sweep_at_the_start_finds_jobs_in_limbo(new_stack: NewStack) -> None:
    async with new_stack(env={"SWEEP_INTERVAL": "0.3"}) as made:
        await made.start("s3", "nginx", "gateway")
        async with Api(made.gateway_url) as api, seated(made) as seat:
            job = await api.submit()
            await seat.tell("started", job)
            await api.becomes(job["job_id"], "PROCESSING")
            made.kill("gateway", signal.SIGKILL)
            await made.exited("gateway")
            await made.start("gateway", env={"JOB_TIMEOUT": "1s"})
            await eventually(lambda: _at_attempt(api, job["job_id"], 2))


async def test_events_that_came_while_it_was_away_are_applied_before_anything_counts_as_silent(
    new_stack: NewStack,
) -> None:
    async with new_stack(env={"SWEEP_INTERVAL": "0.1"}) as made:
        await made.start("s3", "nginx", "gateway")
        async with Api(made.gateway_url) as api, seated(made) as seat:
            job = await api.submit()
            await seat.tell("started", job)
            await api.becomes(job["job_id"], "PROCESSING")
            await made.stop("gateway")
            for seq in range(3, 300):
                await seat.tell("progress", job, seq=seq, progress={"percent": seq / 10})
            await seat.tell("completed", job, seq=300, outputs=[])
            await asyncio.sleep(1.1)  # longer than JOB_TIMEOUT now: the row looks silent
            await made.start("gateway", env={"JOB_TIMEOUT": "1s"})
            done = await api.becomes(job["job_id"], "COMPLETED")
            assert done["attempt"] == 1


async def test_the_store_gone_is_a_503_and_nothing_half_done(small: Stack) -> None:
    async with Api(small.gateway_url) as api:
        job = await api.submit()
        await small.stop("s3")

        async def unavailable() -> bool:  # the object may be believed in for some seconds
            status, problem, headers = await api.post(
                "/jobs", json={"input_path": job["input_path"], "output_format": "mp4"}
            )
            assert status in {201, 503}, problem
            return status == 503 and "Retry-After" in headers

        await eventually(unavailable)
        assert (await api.get("/readyz"))[0] == 503
        assert (await api.job(job["job_id"])) == job
        await small.start("s3")
        await eventually(lambda: _ready(api))


async def test_a_full_disk_is_a_503_and_nothing_half_done(small: Stack) -> None:
    async with Api(small.gateway_url) as api:
        job = await api.submit()
        size = max(path.stat().st_size for path in small.data_dir.glob("jobs.db*"))
        limit = ["prlimit", "--pid", str(small.pid("gateway"))]
        await anyio.run_process([*limit, f"--fsize={size}:"])
        load = Load(api, job["input_path"])
        async with load.running(4):
            await eventually(lambda: load.answers[503] > 50)
        assert set(load.answers) <= {201, 503}
        assert (await api.job(job["job_id"]))["job_id"] == job["job_id"]
        status, _, headers = await api.post("/jobs", json=load._wanted)
        assert (status, "Retry-After" in headers) == (503, True)
        await anyio.run_process([*limit, "--fsize=unlimited:"])
        await eventually(lambda: _accepts(api, load))
        await received(small, load.accepted)
        known = set()
        cursor = ""
        while cursor is not None:
            _, page, _ = await api.get(f"/jobs?limit=200{cursor and f'&cursor={cursor}'}")
            known |= {one["job_id"] for one in page["jobs"]}
            cursor = page["next_cursor"]
        assert len(known - load.accepted) <= 2  # the first and the last


async def _accepts(api: Api, load: Load) -> bool:
    return (await api.post("/jobs", json=load._wanted))[0] == 201


async def _ready(api: Api) -> bool:
    return (await api.get("/readyz"))[0] == 200


async def test_two_gateways_on_one_postgresql(new_stack: NewStack) -> None:
    async with running_postgres() as postgres:
        if postgres is None:
            pytest.skip("PostgreSQL is not installed")
        database = await postgres.create("shared")
        async with new_stack() as one, new_stack() as other:
            await one.start("s3", "nginx")
            same = {"DATABASE_URL": database, "SWEEP_INTERVAL": "0.3"}
            places = {name: one.env[name] for name in ("AMQP_URL", "S3_ENDPOINT", "S3_ACCESS_KEY", "S3_SECRET_KEY")}
            # Both at once: one migrates, the other waits for it.
            async with anyio.create_task_group() as starting:
                starting.start_soon(lambda: one.start("gateway", env=same))
                starting.start_soon(lambda: other.start("gateway", env=same | places))
            async with Api(one.gateway_url) as left, Api(other.gateway_url) as right, seated(one) as seat:
                input_path = await left.upload()
                loads = [Load(left, input_path), Load(right, input_path)]
                async with loads[0].running(), loads[1].running():
                    await loads[0].accepts(150)
                    await loads[1].accepts(150)
                accepted = loads[0].accepted | loads[1].accepted
                seen = await received(one, accepted)
                assert set(seen.values()) == {1}
                # What one hears of, those who wait at the other are told.
                job = await left.submit(input_path)
                path = f"/jobs/{job['job_id']}"
                waits = [asyncio.create_task(api.get(f"{path}?wait=30")) for api in (left, right)]
                await seat.tell("started", job)
                for wait in waits:
                    assert (await wait)[1]["status"] == "PROCESSING"
                # A key used at both at the same moment makes one job.
                wanted = {"input_path": input_path, "output_format": "mp4"}
                for n in range(10):
                    key = {"Idempotency-Key": f"key {n}"}
                    answers = await asyncio.gather(
                        *(api.post("/jobs", json=wanted, headers=key) for api in (left, right))
                    )
                    assert [answer[0] for answer in answers] == [201, 201]
                    assert answers[0][1] == answers[1][1]
                # One is killed; the other sends what it has left.
                async with loads[0].running():
                    await loads[0].accepts(40)
                    one.kill("gateway", signal.SIGKILL)
                    await one.exited("gateway")
                await received(one, loads[0].accepted - accepted)
                # The database goes away and comes back.
                await postgres.stop()
                status, _, headers = await right.get(path)
                assert (status, "Retry-After" in headers) == (503, True)
                assert (await right.post("/jobs", json=wanted))[0] == 503
                await postgres.start()

                async def recovered() -> bool:
                    return (await right.get(path))[0] == 200 and (await right.post("/jobs", json=wanted))[0] == 201

                await eventually(recovered)


async def test_200_clients_at_once_are_all_served(small: Stack) -> None:
    async with Api(small.gateway_url, connections=0) as api:
        load = Load(api, await api.upload())
        async with load.running(200):
            await load.accepts(1000)
        assert set(load.answers) == {201}
        assert "locked" not in small.log("gateway")
