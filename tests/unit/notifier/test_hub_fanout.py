"""Who gets which event, when, and in how many writes."""

import pytest

from services.notifier.frames import Flavour
from tests.unit.notifier.push_world import World


@pytest.fixture
def world():
    return World(window_s=0.03)


def test_an_event_goes_to_the_subscribers_of_its_job_and_to_nobody_else(world: World):
    hub = world.hub()
    mine, other, everything, stranger, idle = (world.connect(hub, tenant) for tenant in ("a", "a", "a", "b", "a"))
    mine.subscribe("job1")
    other.subscribe("job2")
    everything.subscribe("*")
    stranger.subscribe("*")
    world.publish("queued", "job1", tenant="a")
    world.pass_time(0.1)
    assert [len(c.events) for c in (mine, other, everything, stranger, idle)] == [1, 0, 1, 0, 0]


def test_an_event_carries_its_fields_and_a_cursor(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe()
    world.publish("queued", "job1", filename="holiday.avi")
    world.pass_time(0.1)
    (event,) = client.events
    assert event["type"] == "job.queued"
    assert event["filename"] == "holiday.avi"
    assert event["status"] == "QUEUED"
    assert event["cursor"] == str(hub.fanout.position)


def test_what_falls_into_one_window_is_one_write(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe()
    world.publish("started", "job1")
    world.pass_time(0.001, step=0.001)
    before = client.writes
    for percent in range(10):
        world.publish("progress", "job1", percent=percent)
    assert client.writes == before
    world.pass_time(0.1)
    assert client.writes == before + 1
    assert len(client.events) == 11


def test_the_first_event_after_a_quiet_time_does_not_wait_for_the_window(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe()
    world.publish("started", "job1")
    assert hub.wake_at == world.now + world.config.gather_s


def test_many_jobs_that_end_together_do_not_each_cost_a_flush() -> None:
    world = World(window_s=0.03, spacing_s=0.002)
    hub = world.hub()
    clients = [world.connect(hub) for _ in range(10)]
    for client in clients:
        client.subscribe()
    before = clients[0].writes
    for number in range(30):
        world.publish("completed", f"job{number}")
        world.pass_time(0.001, step=0.001)
    world.pass_time(0.05)
    assert len(clients[0].events) == 30
    assert clients[0].writes - before <= 3


def test_a_terminal_event_ends_the_window_and_keeps_the_order(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe()
    world.publish("started", "job1")
    hub.advance(world.now)
    world.settle(hub)
    world.publish("progress", "job1", percent=50)
    assert hub.wake_at > world.now
    world.publish("completed", "job1")
    assert hub.wake_at == world.now
    world.wake(hub)
    assert [e["type"] for e in client.events] == ["job.started", "job.progress", "job.completed"]


def test_a_group_shares_the_very_same_bytes(world: World):
    hub = world.hub()
    clients = [world.connect(hub) for _ in range(3)]
    for client in clients:
        client.subscribe()
    world.stream.publish("queued", "job1")
    for offset, body in world.stream.since(0):
        hub.feed(offset, body, world.now)
    hub.advance(world.now + world.config.gather_s)
    (broadcast,) = hub.take_outputs()
    assert {c.sink for c in broadcast.connections} == set(clients)
    assert broadcast.batch.encode(Flavour.WS) is broadcast.batch.encode(Flavour.WS)


def test_a_large_batch_does_not_wait_for_the_end_of_the_window():
    world = World(window_s=10, batch_bytes=2000)
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe()
    world.publish("started", "job1")
    world.pass_time(0.05)
    for percent in range(20):
        world.publish("progress", "job1", percent=percent)
        world.wake(hub)
    assert len(client.events) > 5


def test_only_terminal_events_if_asked(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe("*", only="terminal")
    for kind in ("queued", "started", "progress", "failed"):
        world.publish(kind, "job1")
    world.pass_time(0.1)
    assert [e["type"] for e in client.events] == ["job.failed"]


def test_a_connection_with_several_subscriptions_gets_each_event_once_and_in_order(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe("job1")
    client.subscribe("job2", only="terminal")
    client.subscribe("*", only="terminal")
    for kind in ("queued", "started", "completed"):
        for job in ("job3", "job2", "job1"):
            world.publish(kind, job)
    world.pass_time(0.1)
    assert client.offsets == sorted(set(client.offsets))
    assert [e["job_id"] for e in client.events] == ["job1", "job1", "job3", "job2", "job1"]


def test_a_list_of_jobs_is_one_subscription(world: World):
    hub = world.hub()
    client = world.connect(hub)
    world.publish("queued", "job2")
    client.say(type="subscribe", job_ids=["job1", "job2"])
    (answer,) = client.of_type("subscribed")
    assert answer["job_ids"] == ["job1", "job2"]
    assert [job["job_id"] for job in answer["jobs"]] == ["job2"]
    for job in ("job1", "job2", "job3"):
        world.publish("started", job)
    world.pass_time(0.1)
    assert [e["job_id"] for e in client.events] == ["job1", "job2"]


def test_unsubscribing_ends_it_after_what_came_before(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe("job1")
    client.subscribe("job2")
    world.publish("started", "job1")
    client.say(type="unsubscribe", job_id="job1")
    world.publish("progress", "job1")
    world.publish("started", "job2")
    world.pass_time(0.1)
    assert [m["type"] for m in client.received] == [
        "hello", "subscribed", "subscribed", "job.started", "unsubscribed", "job.started",
    ]  # fmt: skip
    client.say(type="unsubscribe", job_id="job2")
    assert len(hub.fanout.groups) == 0


def test_events_that_do_not_change_the_job_are_not_passed_on(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe()
    world.publish("completed", "job1")
    world.publish("progress", "job1", percent=99)  # late
    world.publish("cancelled", "job1")  # too late
    world.stream.append(b"not json")
    world.stream.append(b'{"type": "job.unheard_of"}')
    world.follow(hub)
    world.pass_time(0.1)
    assert [e["type"] for e in client.events] == ["job.completed"]
    assert hub.fanout.position.offset == 4


def test_an_outcome_numbered_too_low_is_passed_on_with_a_number_that_counts(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe()
    world.publish("progress", "job1", seq=50)
    world.publish("failed", "job1", seq=3)
    world.pass_time(0.1)
    assert [e["seq"] for e in client.events] == [50, 51]


def test_percent_does_not_fall_within_an_attempt(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe()
    world.publish("progress", "job1", percent=40)
    world.publish("progress", "job1", percent=30)
    world.pass_time(0.1)
    assert [e["progress"]["percent"] for e in client.events] == [40, 40]


def test_fields_added_later_are_passed_on(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe()
    world.stream.publish("queued", "job1")
    world.stream.bodies[-1] = world.stream.bodies[-1][:-1] + b',"novelty":[1]}'
    world.follow(hub)
    world.pass_time(0.1)
    assert client.events[0]["novelty"] == [1]


def test_nothing_is_kept_of_a_connection_that_is_gone(world: World):
    hub = world.hub()
    clients = [world.connect(hub) for _ in range(5)]
    for client in clients:
        client.subscribe("job1")
    for client in clients:
        client.hang_up()
    assert len(hub) == 0
    assert len(hub.fanout.groups) == 0
    world.publish("queued", "job1")
    assert hub.take_outputs() == []
    world.pass_time(5, step=0.5)
    assert hub.wake_at is None


def test_deliveries_are_counted(world: World):
    hub = world.hub()
    for _ in range(3):
        world.connect(hub).subscribe()
    world.publish("queued", "job1")
    world.publish("started", "job1")
    world.pass_time(0.1)
    assert hub.stats.deliveries == 6
