"""Messages from clients, signs of life, and goodbyes."""

import orjson
import pytest

from services.notifier.cursors import parse
from tests.unit.notifier.push_world import World


@pytest.fixture
def world():
    return World(heartbeat_s=20, messages_burst=40)


def test_the_first_message_is_hello(world: World):
    client = world.connect(world.hub())
    assert client.received[0]["type"] == "hello"
    assert client.received[0]["heartbeat_s"] == 20


def test_ping_is_answered_with_a_cursor_that_is_safe_to_resume_from(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe()
    world.publish("queued", "job1")  # still in the window: not sent yet
    client.say(type="ping")
    (pong,) = client.of_type("pong")
    client.hang_up()
    back = world.connect(hub)
    assert back.subscribe("*", after=pong["cursor"])["recovered"] is True
    assert [e["type"] for e in back.events] == ["job.queued"]


BAD = [
    "",
    "{",
    "[]",
    "null",
    '"subscribe"',
    "{}",
    '{"type":"nope"}',
    '{"type":"subscribe"}',
    '{"type":"subscribe","job_id":5}',
    '{"type":"subscribe","job_id":""}',
    '{"type":"subscribe","job_id":"../x"}',
    '{"type":"subscribe","job_ids":["*"]}',
    '{"type":"subscribe","job_id":"*","only":"some"}',
    '{"type":"subscribe","job_id":"*","after":7}',
    '{"type":"subscribe","job_id":"*","after":"' + "f" * 65 + '"}',
    orjson.dumps({"type": "subscribe", "job_ids": [f"j{n}" for n in range(201)]}).decode(),
    "[" * 10_000,
    None,
]


@pytest.mark.parametrize("text", BAD, ids=range(len(BAD)))
def test_a_bad_message_is_warned_of_once_and_the_second_closes(world: World, text: str | None):
    hub = world.hub()
    client = world.connect(hub)
    client.say(text)
    assert client.received[-1]["code"] == "bad_message"
    assert client.closed is None
    client.say(text)
    assert client.closed[0] == 4400
    assert len(hub) == 0


def test_a_bad_message_is_forgiven_after_a_while(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.say("{")
    for _ in range(61):
        world.pass_time(1, step=1)
        hub.alive(client.connection)
    client.say("{")
    assert client.closed is None


def test_unknown_fields_are_ignored(world: World):
    client = world.connect(world.hub())
    assert client.subscribe("*", novelty=1)["type"] == "subscribed"


def test_too_many_messages_are_warned_of_and_then_close(world: World):
    client = world.connect(world.hub())
    sent = 0
    while client.closed is None:
        client.say(type="ping")
        sent += 1
        assert sent < 100
    assert client.closed[0] == 4400
    assert client.of_type("error")[0]["code"] == "rate_limited"
    assert len(client.of_type("pong")) == world.config.messages_burst


def test_pings_of_the_protocol_itself_are_limited_too(world: World):
    hub = world.hub()
    client = world.connect(hub)
    for _ in range(100):
        hub.pinged(client.connection, b"x", world.now, unread=0)
    outputs = hub.take_outputs()
    assert len(outputs) == world.config.messages_burst + 2  # the pongs, the warning, the close


def test_messages_at_a_reasonable_pace_are_fine(world: World):
    client = world.connect(world.hub())
    for _ in range(200):
        client.say(type="ping")
        world.pass_time(0.2, step=0.2)
    assert client.closed is None
    assert len(client.of_type("pong")) == 200


def test_more_jobs_than_a_connection_may_name(world: World):
    client = world.connect(world.hub())
    client.say(type="subscribe", job_ids=[f"a{n}" for n in range(200)])
    client.say(type="subscribe", job_id="one-more")
    assert client.received[-1]["code"] == "too_many_jobs"
    assert client.subscribe("*")
    assert client.closed is None


def test_a_job_that_is_not_there_is_said_after_a_moment_and_watched_all_the_same(world: World):
    hub = world.hub()
    client = world.connect(hub)
    assert client.subscribe("job1")["jobs"] == []
    world.pass_time(1)
    assert client.of_type("error") == []
    world.pass_time(2)
    (error,) = client.of_type("error")
    assert (error["code"], error["job_id"]) == ("not_found", "job1")
    world.publish("queued", "job1")
    world.pass_time(0.1)
    assert [e["type"] for e in client.events] == ["job.queued"]


def test_a_job_that_is_just_being_made_is_not_called_missing(world: World):
    hub = world.hub()
    client = world.connect(hub)
    client.subscribe("job1")
    world.pass_time(1)
    world.publish("queued", "job1")
    world.pass_time(3)
    assert client.of_type("error") == []
    assert [e["type"] for e in client.events] == ["job.queued"]


def test_somebody_elses_job_looks_like_one_that_is_not_there(world: World):
    hub = world.hub()
    world.publish("queued", "job1", tenant="a")
    theirs, missing = world.connect(hub, "b"), world.connect(hub, "b")
    theirs.subscribe("job1")
    missing.subscribe("job2")
    world.publish("completed", "job1", tenant="a")
    world.pass_time(3)
    one, other = (orjson.dumps(client.received).replace(b"job2", b"job1") for client in (theirs, missing))
    assert one == other
    assert b"not_found" in one


def test_an_event_stream_of_a_job_that_is_not_there_ends_before_it_begins(world: World):
    hub = world.hub()
    sse = world.open_sse(hub, job_id="job1")
    world.pass_time(3)
    assert sse.closed[0] == 4404
    assert sse.raw == b""


def test_an_event_stream_of_a_job_that_is_just_being_made_begins_when_it_is(world: World):
    hub = world.hub()
    sse = world.open_sse(hub, job_id="job1")
    world.pass_time(1)
    assert sse.raw == b""
    world.publish("queued", "job1")
    world.pass_time(3)
    assert sse.closed is None
    assert sse.raw.count(b"data: ") == 1
    assert b'"status":"QUEUED"' in sse.raw


def test_everybody_gets_a_ping_each_heartbeat(world: World):
    hub = world.hub()
    clients = []
    for _ in range(10):
        clients.append(world.connect(hub))
        world.pass_time(1.7, step=0.1)
    for _ in range(60):
        world.pass_time(1, step=0.1)
        for client in clients:
            hub.alive(client.connection)
    assert all(3 <= client.pings <= 4 for client in clients)
    assert len(hub) == 10


def test_a_peer_that_says_nothing_is_gone_within_two_heartbeats(world: World):
    hub = world.hub()
    silent, talking = world.connect(hub), world.connect(hub)
    for _ in range(40):
        world.pass_time(1)
        talking.say(type="ping")
    assert silent.dropped
    assert not talking.dropped
    assert hub.stats.evictions == {"dead": 1}


def test_an_event_stream_gets_signs_of_life_that_move_its_cursor(world: World):
    hub = world.hub()
    sse = world.open_sse(hub, job_id="*")
    world.publish("queued", "job1", tenant="somebody-else")
    for _ in range(3):
        world.pass_time(20)
    assert sse.raw.count(b": beat") == 3
    last_id = sse.raw.decode().rsplit("id: ", 1)[1].split("\n")[0]
    assert parse(last_id) == hub.fanout.position
    assert not sse.dropped


def test_a_process_that_slept_does_not_take_everybody_for_dead(world: World):
    hub = world.hub()
    client = world.connect(hub)
    world.now += 3600
    world.wake(hub)
    world.wake(hub)
    assert not client.dropped
    hub.alive(client.connection)
    world.pass_time(25)
    assert not client.dropped


def test_at_the_end_everybody_is_told_and_asked_to_come_back_at_different_times(world: World):
    hub = world.hub()
    clients = [world.connect(hub) for _ in range(20)]
    for client in clients:
        client.subscribe()
    world.publish("completed", "job1")
    hub.shutdown(world.now)
    world.settle(hub)
    waits = set()
    for client in clients:
        assert client.closed[0] == 1001
        *_, event, goodbye = client.received
        assert event["type"] == "job.completed"
        assert goodbye["type"] == "goodbye"
        assert client.closed[1].endswith(f"retry={goodbye['retry_after_s']}")
        waits.add(goodbye["retry_after_s"])
    assert len(waits) == 20
    assert 0.5 <= min(waits) <= max(waits) <= 3.5
    assert len(hub) == 0
