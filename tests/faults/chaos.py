"""Everything goes wrong at once, and at the end everything must be right.

`python -m tests.faults.chaos --jobs 300` is the long form; tests/faults/test_chaos.py runs a short one.  Jobs are
submitted while transcoders and the gateway are killed, the broker is restarted, connections are cut, the store
answers 503, and a disk has no room.
"""

import argparse
import asyncio
import contextlib
import random
import signal
import sqlite3
import sys
import tempfile
import time
import uuid
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit, urlunsplit

from aiohttp import ClientError, ClientSession, ClientTimeout

from deploy.embedded.ports import free_ports
from services.client import Client
from services.common import topology
from services.common.jobs import TERMINAL
from services.common.keys import OUTCOMES, PROCESSED
from services.common.messages import TERMINAL_EVENTS
from services.common.projection import Verdict, changes, judge
from tests.faults.gate import UNAVAILABLE, Gate, gate
from tests.integration.broker_client import Watcher, watching
from tests.media_files import MediaFiles
from tests.stack import Stack, eventually, make_stack

TRANSCODERS = ("transcoder", "transcoder-2", "transcoder-3")
WORK_QUEUES = (topology.JOBS_QUEUE, *map(topology.retry_queue, topology.RETRY_DELAYS_S))
NO_ROOM = {"DISK_RESERVE": str(1 << 60)}
ROOM = {"DISK_RESERVE": "1000000"}


@dataclass(frozen=True)
class Storm:
    """How much is done, and how much is done to it."""

    jobs: int = 300
    transcoder_kills: int = 15
    gateway_kills: int = 5
    broker_restarts: int = 3
    cuts: int = 6
    store_outages: int = 2
    full_disks: int = 1
    seed: int = 1
    patience_s: float = 900.0


@dataclass
class Report:
    """What was done and what was found.  `faults` is empty if all is right."""

    accepted: int = 0
    seconds: float = 0.0
    disturbances: Counter[str] = field(default_factory=Counter)
    statuses: Counter[str] = field(default_factory=Counter)
    attempts: Counter[int] = field(default_factory=Counter)
    faults: list[str] = field(default_factory=list)

    def expect(self, what: str, *, holds: bool) -> None:
        if not holds:
            self.faults.append(what)

    def text(self) -> str:
        lines = [
            f"accepted jobs   {self.accepted} in {self.seconds:.0f} s",
            f"disturbances    {', '.join(f'{count} {name}' for name, count in sorted(self.disturbances.items()))}",
            f"statuses        {dict(self.statuses)}",
            f"attempts        {dict(sorted(self.attempts.items()))}",
        ]
        lines += [f"WRONG           {fault}" for fault in self.faults]
        if not self.faults:
            lines.append("all right       nothing lost, nothing doubled")
        return "\n".join(lines)


class Chaos:
    """One storm over one stack."""

    def __init__(self, stack: Stack, storm: Storm, broker: Gate, store: Gate) -> None:
        self.stack = stack
        self.storm = storm
        self.report = Report()
        self._broker = broker
        self._store = store
        self._random = random.Random(storm.seed)
        self._busy: dict[str, asyncio.Lock] = {name: asyncio.Lock() for name in (*TRANSCODERS, "gateway")}

    async def submit(self, http: ClientSession, key: str) -> str:
        """POST one job, again and again under one Idempotency-Key until it is accepted; its id."""
        headers = {"Idempotency-Key": str(uuid.uuid4())}
        while True:
            try:
                async with http.post(
                    f"{self.stack.gateway_url}/jobs", json={"input_path": key, "output_format": "mp4"}, headers=headers
                ) as response:
                    if response.status == 201:
                        return str((await response.json())["job_id"])
            except (ClientError, TimeoutError, OSError):
                pass
            await asyncio.sleep(0.1)

    async def disturb(self) -> None:
        """Do everything of the storm, in an order of chance, spread over the submissions."""
        storm = self.storm
        acts = [self._kill_transcoder] * storm.transcoder_kills + [self._kill_gateway] * storm.gateway_kills
        acts += [self._restart_broker] * storm.broker_restarts + [self._cut] * storm.cuts
        acts += [self._store_outage] * storm.store_outages + [self._full_disk] * storm.full_disks
        self._random.shuffle(acts)
        for act in acts:
            await asyncio.sleep(self._random.uniform(0.3, 1.5))
            await act()

    async def _kill(self, name: str, env: dict[str, str] | None = None) -> None:
        async with self._busy[name]:
            self.stack.kill(name)
            await self.stack.exited(name)
            await self.stack.start(name, env=env)
        self.report.disturbances[f"kill -9 of {name.partition('-')[0]}"] += 1

    async def _kill_transcoder(self) -> None:
        await self._kill(self._random.choice(TRANSCODERS))

    async def _kill_gateway(self) -> None:
        await self._kill("gateway")

    async def _restart_broker(self) -> None:
        await self.stack.restart("rabbitmq")
        self.report.disturbances["broker restart"] += 1

    async def _cut(self) -> None:
        self.report.disturbances["TCP cut"] += self._broker.cut() + self._store.cut()

    async def _store_outage(self) -> None:
        self._store.answer = UNAVAILABLE
        self._store.cut()
        await asyncio.sleep(3)
        self._store.answer = None
        self.report.disturbances["store outage"] += 1

    async def _full_disk(self) -> None:
        await self._kill(TRANSCODERS[-1], NO_ROOM)
        await asyncio.sleep(6)
        await self._kill(TRANSCODERS[-1], ROOM)
        self.report.disturbances["full disk"] += 1

    async def check(self, jobs: list[str], watcher: Watcher, heard: Counter[str]) -> None:
        """Hold what is found against what has to be."""
        report = self.report
        report.accepted = len(jobs)
        async with ClientSession() as http:
            for job_id in jobs:
                async with http.get(f"{self.stack.gateway_url}/jobs/{job_id}") as response:
                    job = await response.json()
                    report.statuses[job.get("status", f"HTTP {response.status}")] += 1
                    report.attempts[job.get("attempt", 0)] += 1
                    if job.get("error"):
                        report.faults.append(f"{job_id} {job['error']['code']} at attempt {job['attempt']}")
        report.expect("a job did not complete", holds=report.statuses == {"COMPLETED": len(jobs)})
        ends = outcomes(watcher)
        report.expect("a job has no or several outcomes", holds=all(ends[job_id] == 1 for job_id in jobs))
        missed = [job_id for job_id in jobs if heard[job_id] != 1]
        report.expect(f"a watching client heard {len(missed)} outcomes not once", holds=not missed)
        await self._check_store(set(jobs), watcher)
        for queue in (*WORK_QUEUES, topology.DEAD_QUEUE):
            report.expect(f"{queue} is not empty", holds=not await watcher.depth(queue))

    async def _check_store(self, jobs: set[str], watcher: Watcher) -> None:
        found = {info.key async for info in watcher.storage.list_objects(PROCESSED)}
        outputs = {f"{PROCESSED}{job_id}.mp4" for job_id in jobs}
        thumbnails = {f"{PROCESSED}{job_id}.thumb.jpg" for job_id in jobs}
        self.report.expect(f"{len(outputs - found)} outputs are missing", holds=outputs <= found)
        self.report.expect(f"{len(found - outputs - thumbnails)} orphan objects", holds=found <= outputs | thumbnails)
        kept = {info.key async for info in watcher.storage.list_objects(OUTCOMES)}
        self.report.expect("kept outcomes of no job", holds=kept == {f"{OUTCOMES}{job_id}.json" for job_id in jobs})

    async def check_leftovers(self) -> None:
        """After everything has stopped: no process, no file, a database that is whole."""
        await self.stack.stop(*TRANSCODERS, "gateway")
        work = self.stack.data_dir / "work"
        # One that was killed just as it started ffmpeg may leave a process behind. Whoever starts next ends it.
        await self.stack.start(TRANSCODERS[0])
        await self.stack.stop(TRANSCODERS[0])
        with contextlib.suppress(AssertionError):
            await eventually(lambda: not processes_in(work))
        litter = [path for path in work.rglob("*") if path.is_file()]
        names = ", ".join(str(path.relative_to(work)) for path in litter)
        self.report.expect(f"{len(litter)} files are left in work: {names}", holds=not litter)
        running = processes_in(work)
        self.report.expect(f"ffmpeg processes are left: {running}", holds=not running)
        with contextlib.closing(sqlite3.connect(self.stack.data_dir / "jobs.db")) as database:
            self.report.expect(
                "the database is damaged", holds=database.execute("pragma integrity_check").fetchone() == ("ok",)
            )
            (backlog,) = database.execute("select count(*) from outbox").fetchone()
            self.report.expect(f"{backlog} messages were never sent", holds=not backlog)


def processes_in(work: Path) -> list[str]:
    """The command lines that name a file in `work`."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            command = path.read_bytes().replace(b"\0", b" ").decode(errors="replace")
            if str(work) in command:
                found.append(command)
    return found


def outcomes(watcher: Watcher) -> Counter[str]:
    """How often each job ended, as every reader of the events must see it."""
    states: dict[str, dict] = {}
    ends: Counter[str] = Counter()
    for event in watcher.events:
        state = states.get(event["job_id"])
        if judge(state, event) is Verdict.APPLY:
            states[event["job_id"]] = {"progress": {}, "attempt": 1} | (state or {}) | changes(state, event)
            ends[event["job_id"]] += event["type"] in TERMINAL_EVENTS
    return ends


async def listen(stack: Stack, heard: Counter[str]) -> None:
    """What a client of the notifier hears."""
    async with Client(stack.url) as client:
        async for event in client.watch("*"):
            if event.job.status in TERMINAL:
                heard[event.job.job_id] += 1


@contextlib.asynccontextmanager
async def started(directory: Path) -> AsyncIterator[tuple[Stack, Gate, Gate]]:
    """The whole system, its transcoders behind gates."""
    async with make_stack(directory, env={"MAX_RETRIES": "8"}) as stack:
        await stack.start("epmd", "rabbitmq", "s3", "nginx")
        store_port = urlsplit(stack.env["S3_ENDPOINT"]).port
        assert store_port
        async with gate(stack.settings.amqp_port) as broker, gate(store_port) as store:
            amqp = urlsplit(stack.amqp_url)
            behind = {
                "AMQP_URL": urlunsplit(amqp._replace(netloc=f"{amqp.netloc.rpartition(':')[0]}:{broker.port}")),
                "S3_ENDPOINT": f"http://127.0.0.1:{store.port}",
                "WORKER_CONCURRENCY": "1",
            }
            for name, port in zip(TRANSCODERS, (stack.settings.transcoder_port, *free_ports(2)), strict=True):
                stack.add(name, "transcoder", port=port, env=behind | {"TRANSCODER_PORT": str(port)})
            await stack.start("gateway", "notifier", *TRANSCODERS)
            yield stack, broker, store


async def run(storm: Storm, directory: Path) -> Report:
    """A storm from beginning to end, in an empty directory."""
    clip = MediaFiles(directory).avi(1)
    async with started(directory / "stack") as (stack, broker, store), watching(stack) as watcher:
        chaos = Chaos(stack, storm, broker, store)
        heard: Counter[str] = Counter()
        listener = asyncio.create_task(listen(stack, heard))
        key = await watcher.put(clip)
        begun = time.monotonic()
        disturbing = asyncio.create_task(chaos.disturb())
        async with ClientSession(timeout=ClientTimeout(total=5)) as http:
            jobs = [await chaos.submit(http, key) for _ in range(storm.jobs)]
        await disturbing
        await eventually(
            lambda: set(jobs) <= {job for job, ends in outcomes(watcher).items() if ends},
            timeout=storm.patience_s,
            every=1,
        )
        await eventually(lambda: all(heard[job] for job in jobs), timeout=120)
        chaos.report.seconds = time.monotonic() - begun
        await eventually(lambda: _settled(stack, jobs), timeout=120)
        # A cut makes two copies of a job that fails with it, its retry and what the broker takes back. One may rest
        # yet when the other is done; it has to come to nothing, too.
        with contextlib.suppress(AssertionError):
            await eventually(lambda: _worked_off(watcher), timeout=topology.RETRY_DELAYS_S[-1] + 60, every=1)
        await chaos.check(jobs, watcher, heard)
        listener.cancel()
        await asyncio.gather(listener, return_exceptions=True)
        await chaos.check_leftovers()
        return chaos.report


async def _worked_off(watcher: Watcher) -> bool:
    return not any([await watcher.depth(queue) for queue in WORK_QUEUES])


async def _settled(stack: Stack, jobs: list[str]) -> bool:
    async with ClientSession() as http:
        for job_id in reversed(jobs):
            async with http.get(f"{stack.gateway_url}/jobs/{job_id}") as response:
                if (await response.json())["status"] not in TERMINAL:
                    return False
    return True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--jobs", type=int, default=Storm.jobs)
    parser.add_argument("--seed", type=int, default=int(time.time()))
    arguments = parser.parse_args()
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    with tempfile.TemporaryDirectory(prefix="chaos-") as name:
        report = asyncio.run(run(Storm(jobs=arguments.jobs, seed=arguments.seed), Path(name)))
    sys.stdout.write(f"seed            {arguments.seed}\n{report.text()}\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
