"""The AsyncAPI document: valid, whole, and true of what is really sent."""

import json
from pathlib import Path
from typing import Any

import jsonschema
import orjson
import pytest

from services.common import messages
from services.notifier import asyncapi, protocol
from services.notifier.settings import NotifierSettings
from tests.unit.notifier.push_world import World

OFFICIAL = Path(__file__).parents[3] / "static/node_modules/@asyncapi/specs/schemas/3.0.0-without-$id.json"


@pytest.fixture(scope="module")
def document():
    return orjson.loads(orjson.dumps(asyncapi.document(NotifierSettings())))


def references(node: Any):
    if isinstance(node, dict):
        for key, value in node.items():
            if key == "$ref":
                yield value
            else:
                yield from references(value)
    elif isinstance(node, list):
        for value in node:
            yield from references(value)


def look_up(document: dict[str, Any], reference: str):
    node = document
    for part in reference.removeprefix("#/").split("/"):
        node = node[part]
    return node


@pytest.mark.skipif(not OFFICIAL.exists(), reason="the page's development packages are not installed")
def test_it_is_valid_by_the_official_schema(document: dict[str, Any]):
    schema = json.loads(OFFICIAL.read_text())
    jsonschema.Draft7Validator(schema).validate(document)


def test_every_reference_leads_somewhere(document: dict[str, Any]):
    found = list(references(document))
    assert len(found) > 50
    for reference in found:
        assert look_up(document, reference)


def test_every_message_of_the_protocol_is_in_it(document: dict[str, Any]):
    names = {message["name"] for message in document["components"]["messages"].values()}
    assert names >= messages.EVENTS.json_schema()["discriminator"]["mapping"].keys()
    models = [*protocol.ServerMessage.__args__, protocol.Subscribe, protocol.Unsubscribe, protocol.Ping]
    assert len(names) == len(models) + 7


def test_every_close_code_is_in_it(document: dict[str, Any]):
    text = document["info"]["description"]
    for code in protocol.CloseCode:
        if code is not protocol.CloseCode.NOT_FOUND:  # seen by event streams only, as a 404
            assert f"- {int(code)}: " in text


def test_every_operation_is_about_messages_of_its_channel(document: dict[str, Any]):
    for operation in document["operations"].values():
        channel = operation["channel"]["$ref"]
        assert all(message["$ref"].startswith(f"{channel}/messages/") for message in operation["messages"])


def validator(document: dict[str, Any], name: str):
    payload = document["components"]["messages"][name.replace(".", "_")]["payload"]
    schema = {**payload, "components": document["components"]}
    return jsonschema.Draft202012Validator(schema)


def test_what_is_sent_is_as_described(document: dict[str, Any]):
    world = World()
    hub = world.hub()
    client = world.connect(hub)
    for job, end in (("job1", "completed"), ("job2", "failed"), ("job3", "cancelled")):
        for kind in ("queued", "started", "progress", end):
            world.publish(kind, job)
        client.subscribe(job)
    client.subscribe("*")
    for kind in ("queued", "started", "progress", "completed"):
        world.publish(kind, "job4")
    world.pass_time(0.1)
    client.say(type="ping")
    client.say(type="unsubscribe", job_id="job1")
    client.say("{")
    hub.shutdown(world.now)
    world.settle(hub)
    seen = set()
    for message in client.received:
        validator(document, message["type"]).validate(message)
        seen.add(message["type"])
    assert {"hello", "subscribed", "unsubscribed", "pong", "error", "goodbye", "job.completed"} <= seen


@pytest.mark.parametrize(
    ("message", "valid"),
    [
        ({"type": "subscribe", "job_id": "*"}, True),
        ({"type": "subscribe", "job_id": "a", "after": "1-00000000", "only": "terminal"}, True),
        ({"type": "subscribe", "job_ids": ["a", "b"]}, True),
        ({"type": "subscribe", "job_id": "../a"}, False),
        ({"type": "subscribe", "job_id": "*", "only": "x"}, False),
    ],
)
def test_what_may_be_said_is_as_described(document: dict[str, Any], message: dict[str, Any], valid: bool):
    assert validator(document, "subscribe").is_valid(message) is valid
    client_said = True
    try:
        protocol.CLIENT_MESSAGES.validate_python(message)
    except ValueError:
        client_said = False
    assert client_said is valid
