"""Coming back: what was missed, from memory, from the stream, from another instance, or honestly not at all."""

from typing import Any

import pytest

from services.notifier.cursors import ORIGIN, Cursor
from services.notifier.frames import Flavour
from tests.unit.notifier.push_world import World


@pytest.fixture
def world():
    return World(window_s=0.03)


def cut_off_client(world: World, hub: Any, job_id: str = "*"):
    """A client that saw one event and was then cut off; returns its cursor."""
    client = world.connect(hub)
    client.subscribe(job_id)
    world.publish("queued", "job1")
    world.pass_time(0.1)
    client.hang_up()
    return client.events[-1]["cursor"]


def test_without_a_cursor_there_is_a_snapshot_and_nothing_was_recovered(world: World):
    hub = world.hub()
    world.publish("queued", "job1", filename="a.avi")
    world.publish("started", "job1")
    world.publish("queued", "job2", tenant="other")
    answer = world.connect(hub).subscribe()
    assert answer["recovered"] is False
    (job,) = answer["jobs"]
    assert job["job_id"] == "job1"
    assert job["status"] == "PROCESSING"
    assert job["output_format"] == "mp4"
    assert job["progress"]["percent"] is None
    assert answer["cursor"] == str(hub.fanout.position)


def test_a_snapshot_and_the_events_after_it_overlap_nowhere(world: World):
    hub = world.hub()
    first = world.connect(hub)
    first.subscribe()
    world.publish("queued", "job1")
    world.publish("started", "job1")  # gathered in the window, and in the snapshot of whoever comes now
    late = world.connect(hub)
    answer = late.subscribe()
    world.publish("progress", "job1")
    world.pass_time(0.1)
    assert answer["jobs"][0]["seq"] == 2
    assert [e["seq"] for e in late.events] == [3]
    assert [e["seq"] for e in first.events] == [1, 2, 3]


def test_what_was_missed_is_replayed_from_memory_in_order(world: World):
    hub = world.hub()
    after = cut_off_client(world, hub)
    for kind in ("started", "progress", "progress", "completed"):
        world.publish(kind, "job1")
    client = world.connect(hub)
    answer = client.subscribe("*", after=after)
    assert answer["recovered"] is True
    assert answer["jobs"] == []
    assert answer["cursor"] == after
    assert [e["seq"] for e in client.events] == [2, 3, 4, 5]
    world.publish("queued", "job2")
    world.pass_time(0.1)
    assert [e["job_id"] for e in client.events] == ["job1"] * 4 + ["job2"]


def test_nothing_missed_is_recovered_too(world: World):
    hub = world.hub()
    after = cut_off_client(world, hub)
    client = world.connect(hub)
    assert client.subscribe("*", after=after)["recovered"] is True
    assert client.events == []


def test_a_cursor_is_good_at_another_instance(world: World):
    one, other = world.hub(), world.hub()
    after = cut_off_client(world, one)
    world.publish("completed", "job1")
    client = world.connect(other)
    assert client.subscribe("job1", after=after)["recovered"] is True
    assert [e["type"] for e in client.events] == ["job.completed"]


def test_a_cursor_from_an_instance_that_has_read_further_is_waited_for(world: World):
    ahead, behind = world.hub(), world.hub()
    world.stream.publish("queued", "job1")
    world.follow(ahead)
    client = world.connect(ahead)
    after = client.subscribe()["cursor"]
    client.hang_up()
    client = world.connect(behind)
    assert client.subscribe("*", after=after) == {}
    world.follow(behind)
    assert client.of_type("subscribed")[0]["recovered"] is True
    world.publish("completed", "job1")
    world.pass_time(0.1)
    assert [e["type"] for e in client.events] == ["job.completed"]


def test_a_cursor_past_the_end_of_the_stream_is_not_waited_for_for_long(world: World):
    hub = world.hub()
    world.publish("queued", "job1")
    client = world.connect(hub)
    client.subscribe("*", after=str(Cursor(10**6, 1)))
    assert client.of_type("subscribed") == []
    world.pass_time(2.1)
    (answer,) = client.of_type("subscribed")
    assert answer["recovered"] is False
    assert len(answer["jobs"]) == 1


@pytest.mark.parametrize("after", ["", "nonsense", "1-2-3", "zz-00000000", str(Cursor(0, 0xBAD)), "\u0661-00000000"])
def test_a_foreign_cursor_gets_a_snapshot(world: World, after: str):
    hub = world.hub()
    world.publish("queued", "job1")
    answer = world.connect(hub).subscribe("*", after=after)
    assert answer["recovered"] is False
    assert len(answer["jobs"]) == 1


def test_a_cursor_of_a_stream_that_was_made_anew_is_recognised(world: World):
    hub = world.hub()
    after = cut_off_client(world, hub)
    fresh = World()
    fresh.publish("queued", "job9")
    other = fresh.hub()
    fresh.publish("queued", "job8")
    assert fresh.connect(other).subscribe("*", after=after)["recovered"] is False


def test_the_cursor_of_an_empty_stream_is_good_once_there_are_events(world: World):
    hub = world.hub()
    client = world.connect(hub)
    after = client.subscribe()["cursor"]
    client.hang_up()
    world.publish("queued", "job1")
    client = world.connect(world.hub())
    assert client.subscribe("*", after=after)["recovered"] is True
    assert [e["type"] for e in client.events] == ["job.queued"]


def test_the_cursor_of_an_empty_stream_is_not_good_for_a_stream_that_has_lost_its_beginning(world: World):
    for n in range(3):
        world.stream.publish("queued", f"job{n}")
    world.stream.truncate(1)
    hub = world.hub()
    answer = world.connect(hub).subscribe("*", after=str(ORIGIN))
    assert answer["recovered"] is False
    assert len(answer["jobs"]) == 2


def small_memory():
    return World(window_s=0.03, history_bytes=3000)


def test_what_memory_no_longer_has_is_read_from_the_stream_without_seam():
    world = small_memory()
    hub = world.hub()
    after = cut_off_client(world, hub)
    for n in range(30):
        world.publish("progress", "job1", percent=n)
        world.publish("progress", "job2", percent=n)
    world.publish("completed", "job1")
    assert hub.fanout.history.first > 10
    client = world.connect(hub)
    client.subscribe("*", after=after)
    (answer,) = client.of_type("subscribed")
    assert answer["recovered"] is True
    assert client.offsets == list(range(1, 62))
    assert len(world.fetches) == 1


def test_offsets_that_the_broker_keeps_to_itself_are_not_missed() -> None:
    world = World(hole_every=3, history_bytes=3000)
    hub = world.hub()
    after = cut_off_client(world, hub)
    for n in range(30):
        world.publish("progress", "job1", percent=n)
    client = world.connect(hub)
    client.subscribe("*", after=after)
    assert len(world.fetches) == 1
    assert client.of_type("subscribed")[0]["recovered"] is True
    assert client.offsets == world.stream.offsets[1:]


def test_events_that_come_while_the_stream_is_read_are_neither_lost_nor_doubled():
    world = small_memory()
    hub = world.hub()
    after = cut_off_client(world, hub)
    for n in range(30):
        world.publish("progress", "job1", percent=n)
    held = []
    world.run_fetch = lambda hub, fetch: held.append(fetch)
    client = world.connect(hub)
    client.subscribe("*", after=after)
    for n in range(30):
        world.publish("progress", "job2", percent=n)
    (fetch,) = held
    World.run_fetch(world, hub, fetch)
    world.settle(hub)
    world.publish("completed", "job1")
    world.pass_time(0.1)
    assert client.offsets == list(range(1, 62))


def test_a_replay_that_memory_has_run_away_from_is_a_snapshot():
    world = small_memory()
    hub = world.hub()
    after = cut_off_client(world, hub)
    for n in range(30):
        world.publish("progress", "job1", percent=n)
    held = []
    world.run_fetch = lambda hub, fetch: held.append(fetch)
    client = world.connect(hub)
    client.subscribe("*", after=after)
    (fetch,) = held
    fetch.replay.feed(0, world.stream.bodies[0], hub.fanout.book)
    fetch.replay.feed(1, world.stream.bodies[1], hub.fanout.book)
    hub.fetched(fetch)  # timed out here
    world.settle(hub)
    (answer,) = client.of_type("subscribed")
    assert answer["recovered"] is False
    assert answer["jobs"][0]["seq"] == 31


def test_what_the_stream_no_longer_has_is_a_snapshot():
    world = small_memory()
    hub = world.hub()
    after = cut_off_client(world, hub)
    for n in range(30):
        world.publish("progress", "job1", percent=n)
    world.stream.truncate(3)
    client = world.connect(hub)
    client.subscribe("*", after=after)
    (answer,) = client.of_type("subscribed")
    assert answer["recovered"] is False
    assert client.events == []


def test_a_long_replay_has_the_newest_progress_and_every_other_event():
    world = World(history_bytes=3000, replay_bytes=8000, conflate_replay_above=2000)
    hub = world.hub()
    after = cut_off_client(world, hub)
    for n in range(100):
        world.publish("progress", "job1", percent=n / 2)
        world.publish("progress", "job2", percent=n / 2)
    world.publish("completed", "job1")
    world.publish("failed", "job2")
    client = world.connect(hub)
    client.subscribe("*", after=after)
    (answer,) = client.of_type("subscribed")
    assert answer["recovered"] is True
    assert client.offsets == sorted(client.offsets)
    assert {(e["job_id"], e["type"]) for e in client.events} >= {("job1", "job.completed"), ("job2", "job.failed")}
    assert len(client.events) < 10


def test_a_late_event_is_not_replayed_from_the_stream_either():
    world = small_memory()
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe("job1")
    world.publish("cancelled", "job1")
    world.pass_time(0.1)
    client.hang_up()
    world.publish("progress", "job1")  # its worker does not know yet
    for n in range(20):
        world.publish("progress", "job2", percent=n)
    back = world.connect(hub)
    back.subscribe("*", after=client.events[-1]["cursor"])
    assert len(world.fetches) == 1
    assert {e["job_id"] for e in back.events} == {"job2"}


def test_another_tenants_events_are_not_replayed():
    world = small_memory()
    hub = world.hub()
    spy = world.connect(hub, "b")
    after = spy.subscribe("*")["cursor"]
    spy.hang_up()
    for n in range(20):
        world.publish("progress", "job1", tenant="a", percent=n)
    spy = world.connect(hub, "b")
    spy.subscribe("*", after=after)
    assert spy.of_type("subscribed")
    assert spy.events == []


def test_several_jobs_are_replayed_in_the_order_of_the_stream(world: World):
    hub = world.hub()
    after = cut_off_client(world, hub)
    for n in range(3):
        for job in ("job1", "job2", "job3"):
            world.publish("progress", job, percent=n)
    client = world.connect(hub)
    client.say(type="subscribe", job_ids=["job3", "job1"], after=after)
    assert client.offsets == [1, 3, 4, 6, 7, 9]


def test_a_new_instance_knows_the_jobs_from_the_stream(world: World):
    world.stream.publish("queued", "job1", filename="a.avi")
    world.stream.publish("failed", "job1")
    answer = world.connect(world.hub()).subscribe()
    assert [(job["filename"], job["status"]) for job in answer["jobs"]] == [("a.avi", "FAILED")]
    assert answer["jobs"][0]["error"]["code"] == "not_media"


def test_an_event_stream_resumes_like_a_socket(world: World):
    hub = world.hub()
    after = cut_off_client(world, hub)
    world.publish("completed", "job1")
    sse = world.open_sse(hub, job_id="job1", after=after)
    text = sse.raw.decode()
    assert text.startswith("retry: ")
    assert '"recovered":true' in text
    ids = [line for line in text.splitlines() if line.startswith("id: ")]
    assert ids == [f"id: {after}", f"id: {hub.fanout.position}"]
    assert sse.flavour is Flavour.SSE


def test_a_stream_that_changed_sends_everybody_back_for_a_snapshot(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe()
    world.publish("queued", "job1")
    hub.stream_changed()
    world.settle(hub)
    assert client.closed[0] == 1012
    assert len(hub) == 0
    hub.feed(0, world.stream.bodies[0], world.now)
    assert len(world.connect(hub).subscribe()["jobs"]) == 1
