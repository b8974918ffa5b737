"""The promise of the push channel, under anything that can happen to a connection.

No subscriber misses how a job ended, none sees an event twice or out of order, none sees another tenant's.
"""

from bisect import bisect_left
from dataclasses import dataclass, field
from random import Random
from typing import Any

import hypothesis.strategies as st
import orjson
from hypothesis import HealthCheck, settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, invariant, rule

from services.notifier.cursors import parse
from services.notifier.hub import Hub
from tests.unit.notifier.push_world import Client, World

JOBS = ("a1", "a2", "b1", "b2")  # a job's first letter is its tenant


@dataclass(eq=False)
class Viewer:
    """Somebody who watches through one connection after another, keeping the cursor as a client library does."""

    tenant: str
    wanted: str
    forgotten: set[str]
    cursor: str | None = None
    client: Client | None = None
    taken: int = 0
    jobs: dict[str, dict[str, Any]] = field(default_factory=dict)
    told: list[int] = field(default_factory=list)

    def take(self) -> None:
        """Look at what has come since the last time."""
        if self.client is None:
            return
        for message in self.client.received[self.taken :]:
            self._see(message)
        self.taken = len(self.client.received)

    def _see(self, message: dict[str, Any]) -> None:
        if message["type"] == "subscribed":
            if not message["recovered"]:
                self.jobs = {job["job_id"]: job for job in message["jobs"]}
                self.told = []
        elif message["type"].startswith("job."):
            assert message["tenant"] == self.tenant
            assert self.wanted in ("*", message["job_id"])
            offset = parse(message["cursor"]).offset
            assert not self.told or offset > self.told[-1], "twice, or out of order"
            self.told.append(offset)
            job = self.jobs.setdefault(message["job_id"], {})
            if message["job_id"] not in self.forgotten:
                assert (message["attempt"], message["seq"]) > (job.get("attempt", 0), job.get("seq", 0))
            job.update(message)
        self.cursor = message.get("cursor", self.cursor)

    def wants(self, job_id: str) -> bool:
        return job_id[0] == self.tenant and self.wanted in ("*", job_id)


class Play:
    """A world with several notifiers and viewers, and everything that may happen in it."""

    def __init__(self, **config: Any) -> None:
        self.world = World(
            **{"window_s": 0.03, "history_bytes": 4000, "backlog_bytes": 6000, "heartbeat_s": 1000, "hole_every": 5}
            | config
        )
        self.hubs: list[Hub] = [self.world.hub(), self.world.hub()]
        self.viewers: list[Viewer] = []
        self.attempts: dict[str, int] = {}
        # Jobs that the stream no longer has in full: instances that began before and after may disagree on them.
        self.forgotten: set[str] = set()

    def add_viewer(self, tenant: str, wanted: str) -> Viewer:
        viewer = Viewer(tenant, wanted, self.forgotten)
        self.viewers.append(viewer)
        return viewer

    def connect(self, viewer: Viewer, hub: int) -> None:
        if viewer.client is not None and viewer.client.closed is None and not viewer.client.dropped:
            return
        viewer.client, viewer.taken = self.world.connect(self.hubs[hub % 2], viewer.tenant), 0
        viewer.client.subscribe(viewer.wanted, after=viewer.cursor)
        viewer.take()

    def cut(self, viewer: Viewer) -> None:
        if viewer.client is not None and viewer.client.closed is None and not viewer.client.dropped:
            viewer.take()
            viewer.client.hang_up()

    def stop_reading(self, viewer: Viewer) -> None:
        if viewer.client is not None:
            viewer.client.reading = False

    def read(self, viewer: Viewer) -> None:
        if viewer.client is not None and not viewer.client.dropped:
            viewer.client.reading = True
            viewer.client.read()
            viewer.take()

    def publish(self, job_id: str, kind: str) -> None:
        if kind == "queued":
            self.attempts[job_id] = self.attempts.get(job_id, 0) + 1
        self.world.stream.publish(kind, job_id, tenant=job_id[0], attempt=self.attempts.get(job_id, 1))

    def follow(self, hub: int, how_far: int | None = None) -> None:
        hub_ = self.hubs[hub % 2]
        up_to = None if how_far is None else self.world.read[hub_] + how_far
        self.world.follow(hub_, up_to)

    def pass_time(self, seconds: float) -> None:
        self.world.pass_time(seconds)

    def restart(self, hub: int) -> None:
        old = self.hubs[hub % 2]
        for viewer in self.viewers:
            if viewer.client is not None and viewer.client.hub is old:
                self.cut(viewer)
        del self.world.read[old]
        self.hubs[hub % 2] = self.world.hub()

    def truncate(self, share: float) -> None:
        read = min(self.world.read.values())
        stream = self.world.stream
        lost = int(share * bisect_left(stream.offsets, read))
        self.forgotten.update(orjson.loads(body)["job_id"] for body in stream.bodies[:lost])
        stream.truncate(lost)

    def look(self) -> None:
        for viewer in self.viewers:
            viewer.take()

    def settle(self) -> None:
        """Let everything arrive, and see that everybody knows how the jobs stand."""
        for hub in range(2):
            self.follow(hub)
        for viewer in self.viewers:
            self.read(viewer)
            self.connect(viewer, 0)
        for _ in range(3):
            self.pass_time(1.1)
            for viewer in self.viewers:
                self.read(viewer)
                self.connect(viewer, 0)
        book = self.hubs[0].fanout.book
        for viewer in self.viewers:
            for job_id in self.world.stream.seqs.keys() - self.forgotten:
                if viewer.wants(job_id):
                    known, seen = book.get(job_id[0], job_id), viewer.jobs[job_id]
                    assert known is not None
                    for name in ("status", "attempt", "seq"):
                        assert seen[name] == known.fields[name]


VIEWERS = [("a", "*"), ("b", "*"), ("a", "a1"), ("b", "b2"), ("b", "a1")]
KINDS = ["queued", "started", "progress", "progress", "progress", "completed", "failed", "cancelled"]


class Promise(RuleBasedStateMachine):
    viewers = Bundle("viewers")

    def __init__(self) -> None:
        super().__init__()
        self.play = Play()

    @rule(target=viewers, who=st.sampled_from(VIEWERS))
    def arrive(self, who: tuple[str, str]):
        return self.play.add_viewer(*who)

    @rule(viewer=viewers, hub=st.integers(0, 1))
    def connect(self, viewer: Viewer, hub: int):
        self.play.connect(viewer, hub)

    @rule(viewer=viewers)
    def cut(self, viewer: Viewer):
        self.play.cut(viewer)

    @rule(viewer=viewers)
    def stop_reading(self, viewer: Viewer):
        self.play.stop_reading(viewer)

    @rule(viewer=viewers)
    def read(self, viewer: Viewer):
        self.play.read(viewer)

    @rule(job=st.sampled_from(JOBS), kinds=st.lists(st.sampled_from(KINDS), min_size=1, max_size=12))
    def publish(self, job: str, kinds: list[str]):
        for kind in kinds:
            self.play.publish(job, kind)

    @rule(hub=st.integers(0, 1), how_far=st.none() | st.integers(0, 10))
    def follow(self, hub: Any, how_far: int | None):
        self.play.follow(hub, how_far)

    @rule(seconds=st.sampled_from([0.01, 0.05, 3.0]))
    def pass_time(self, seconds: float):
        self.play.pass_time(seconds)

    @rule(hub=st.integers(0, 1))
    def restart(self, hub: Any):
        self.play.restart(hub)

    @rule(share=st.floats(0, 1))
    def truncate(self, share: float):
        self.play.truncate(share)

    @rule(viewer=consumes(viewers))
    def leave(self, viewer: Viewer):
        self.play.cut(viewer)
        self.play.viewers.remove(viewer)

    @invariant()
    def nobody_is_told_wrong(self):
        self.play.look()

    def teardown(self):
        self.play.settle()


Promise.TestCase.settings = settings(
    max_examples=60, stateful_step_count=40, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)
TestPromise = Promise.TestCase


class Storm:
    """Ten thousand cut connections, while jobs come and go and notifiers are restarted now and then."""

    def __init__(self, seed: int) -> None:
        self.random = Random(seed)
        self.play = Play(history_bytes=60_000)
        for who in VIEWERS * 4:
            self.play.add_viewer(*who)
        self.cuts = 0

    def turn(self, number: int) -> None:
        random, play = self.random, self.play
        for _ in range(random.randrange(3)):
            play.publish(f"{random.choice('ab')}{number // 50 + random.randrange(3)}", random.choice(KINDS))
        play.follow(random.randrange(2), random.choice([None, 1, 3]))
        for viewer in random.sample(play.viewers, 8):
            play.connect(viewer, random.randrange(2))
        for viewer in random.sample(play.viewers, 2):
            random.choice([play.read, play.stop_reading])(viewer)
        if random.random() < 0.3:
            play.pass_time(random.choice([0.01, 0.04]))
        self.cut_some()
        if random.random() < 0.01:
            play.restart(random.randrange(2))
        if len(play.world.stream.bodies) > 300:
            play.truncate(0.2)
        play.look()

    def cut_some(self) -> None:
        for viewer in self.random.sample(self.play.viewers, 8):
            if viewer.client is not None and not viewer.client.dropped:
                self.play.cut(viewer)
                self.cuts += 1


def test_ten_thousand_random_disconnects() -> None:
    storm = Storm(20261124)
    turn = 0
    while storm.cuts < 10_000:
        storm.turn(turn)
        turn += 1
    storm.play.settle()
    assert len(storm.play.world.fetches) > 50
    assert len(storm.play.world.stream.seqs.keys() - storm.play.forgotten) > 10
