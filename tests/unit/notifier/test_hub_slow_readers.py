"""A reader who does not read: bounded, conflated, and in the end let go; everybody else notices nothing."""

import pytest

from tests.unit.notifier.push_world import HIGH_WATER, Client, World


@pytest.fixture
def world():
    return World(window_s=0.03, backlog_bytes=20_000)


def two(world: World):
    hub = world.hub()
    slow, quick = world.connect(hub), world.connect(hub)
    for client in (slow, quick):
        client.subscribe()
    slow.reading = False
    return hub, slow, quick


def fill(world: World, client: Client, job: str = "filler"):
    """Publish until `client` counts as slow."""
    percent = 0.0
    while client.connection.backlog is None:
        percent += 0.1
        world.publish("progress", job, percent=percent)
        world.pass_time(0.04)


def test_progress_is_conflated_and_everything_else_is_kept(world: World):
    hub, slow, quick = two(world)
    fill(world, slow)
    for job in ("job1", "job2"):
        world.publish("started", job)
        for percent in range(50):
            world.publish("progress", job, percent=percent)
    world.publish("completed", "job1")
    world.pass_time(0.1)
    seen = len(slow.received)
    slow.read()
    world.pass_time(0.1)
    slow.read()
    late = [e for e in slow.received[seen:] if e.get("job_id") in {"job1", "job2"}]
    assert [(e["job_id"], e["type"]) for e in late] == [
        ("job1", "job.started"),
        ("job2", "job.started"),
        ("job2", "job.progress"),
        ("job1", "job.completed"),
    ]
    assert late[2]["progress"]["percent"] == 49
    assert slow.offsets == sorted(set(slow.offsets))
    assert len(quick.events) == len(world.stream.bodies)
    assert hub.stats.conflations > 90


def test_one_slow_reader_delays_nobody(world: World):
    _, slow, quick = two(world)
    fill(world, slow)
    before = len(quick.events)
    world.publish("started", "job1")
    world.pass_time(0.04)
    assert len(quick.events) == before + 1


def test_it_is_a_normal_member_again_once_it_has_read(world: World):
    hub, slow, _ = two(world)
    fill(world, slow)
    slow.read()
    slow.reading = True
    world.pass_time(0.1)
    assert slow.connection.backlog is None
    assert hub.slow == ()
    world.publish("completed", "job1")
    world.pass_time(0.1)
    assert slow.events[-1]["type"] == "job.completed"
    assert slow.offsets == sorted(set(slow.offsets))


def test_past_the_bound_it_is_closed_with_1013_and_its_memory_freed(world: World):
    hub, slow, quick = two(world)
    fill(world, slow)
    for number in range(200):
        world.publish("completed", f"job{number}")
        world.pass_time(0.01)
    assert slow.closed[0] == 1013
    assert slow.connection.backlog is None
    assert len(slow.unread) < HIGH_WATER + 20_000
    assert hub.slow == ()
    assert hub.stats.evictions == {"slow": 1}
    assert len(hub) == 1
    assert len([e for e in quick.events if e["type"] == "job.completed"]) == 200


def test_progress_alone_never_costs_it_the_connection(world: World):
    _, slow, _ = two(world)
    fill(world, slow)
    for percent in range(1000):
        world.publish("progress", "job1", percent=percent / 20)
    world.pass_time(0.1)
    assert slow.closed is None
    assert slow.connection.backlog.size < 2000


def test_it_can_resume_where_it_was_closed(world: World):
    hub, slow, _ = two(world)
    fill(world, slow)
    for number in range(200):
        world.publish("completed", f"job{number}")
        world.pass_time(0.01)
    slow.read()
    back = world.connect(hub)
    assert back.subscribe("*", after=slow.received[-1]["cursor"])["recovered"] is True
    ended = {e["job_id"] for client in (slow, back) for e in client.events if e["type"] == "job.completed"}
    assert ended == {f"job{number}" for number in range(200)}


def test_asking_without_reading_is_bounded_too():
    world = World(unread_bytes=10_000)
    hub = world.hub()
    for number in range(20):
        world.publish("queued", f"job{number}")
    client = world.connect(hub)
    client.reading = False
    for _ in range(10):
        client.say(type="subscribe", job_id="*")
        if client.closed:
            break
    assert client.closed[0] == 1013
    assert len(client.unread) < 50_000


def test_a_new_subscription_of_a_slow_reader_comes_after_what_it_waits_for(world: World):
    _, slow, _ = two(world)
    fill(world, slow)
    world.publish("started", "job1")
    slow.say(type="subscribe", job_id="job1")
    slow.read()
    kinds = [m["type"] for m in slow.received]
    assert kinds[-2:] == ["job.started", "subscribed"]
    assert slow.offsets == sorted(set(slow.offsets))


def test_a_pong_to_a_slow_reader_promises_nothing(world: World):
    _, slow, quick = two(world)
    fill(world, slow)
    world.publish("started", "job1")
    slow.say(type="ping")
    quick.say(type="ping")
    slow.read()
    assert slow.received[-1] == {"type": "pong"}
    assert "cursor" in quick.of_type("pong")[-1]


def test_unsubscribing_while_slow_leaves_nothing_behind(world: World):
    hub, slow, _ = two(world)
    fill(world, slow)
    slow.say(type="unsubscribe", job_id="*")
    slow.read()
    world.pass_time(0.1)
    assert hub.slow == ()
    assert slow.connection.backlog is None
