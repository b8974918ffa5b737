"""What the compose system makes at its start: secrets, the broker's files, and a look at how far the door is open."""

import base64
import hashlib
import json
from pathlib import Path

import pytest

from deploy.docker import broker
from deploy.docker.secret_files import GENERATED, files, values, write
from deploy.docker.setup import open_door
from deploy.embedded.broker import delivery_timeout_s
from services.common import topology


def by_path(known: dict[str, str], *, postgres: bool = False, job_timeout_s: float = 3600) -> dict[str, str]:
    return {item.path: item.text for item in files(known, job_timeout_s=job_timeout_s, postgres=postgres)}


def made(tmp_path: Path) -> dict[str, str]:
    return values(tmp_path / "given", tmp_path / "kept")


def test_secrets_are_made_once_and_kept(tmp_path: Path):
    first = made(tmp_path)
    write(tmp_path, files(first, job_timeout_s=3600, postgres=False))
    assert made(tmp_path) == first


def test_no_two_secrets_are_alike(tmp_path: Path):
    known = made(tmp_path)
    assert len(set(known.values())) == len(GENERATED)
    assert all(len(text) >= 20 for text in known.values())


def test_a_given_secret_has_precedence(tmp_path: Path):
    write(tmp_path, files(made(tmp_path), job_timeout_s=3600, postgres=False))
    (tmp_path / "given").mkdir()
    (tmp_path / "given/s3_secret_key").write_text("mine\n")
    assert made(tmp_path)["s3_secret_key"] == "mine"
    assert by_path(made(tmp_path))["minio/root_password"] == "mine"


def test_each_service_knows_only_what_it_needs(tmp_path: Path):
    texts = by_path(made(tmp_path), postgres=True)
    known = {
        name: {p.partition("/")[2] for p in texts if p.startswith(f"{name}/")} for name in ("notifier", "transcoder")
    }
    assert known["notifier"] == {"amqp_url", "ticket_secret"}
    assert known["transcoder"] == {"amqp_url", "s3_access_key", "s3_secret_key"}


def test_the_files_are_for_one_user_alone_and_old_ones_go(tmp_path: Path):
    known = made(tmp_path)
    write(tmp_path, files(known, job_timeout_s=3600, postgres=True))
    assert (tmp_path / "gateway/database_url").exists()
    write(tmp_path, files(known, job_timeout_s=3600, postgres=False))
    assert not (tmp_path / "gateway/database_url").exists(), "without the profile it is SQLite again"
    for path in tmp_path.glob("*/*"):
        assert path.stat().st_mode & 0o077 == 0


def test_a_broker_and_a_database_elsewhere_are_used(tmp_path: Path):
    known = made(tmp_path) | {"amqp_url": "amqps://u:p@broker/v", "database_url": "postgresql://u:p@db/x"}
    texts = by_path(known)
    assert texts["transcoder/amqp_url"] == "amqps://u:p@broker/v"
    assert texts["gateway/database_url"] == "postgresql://u:p@db/x"


def test_passwords_are_fit_for_urls(tmp_path: Path):
    known = made(tmp_path) | {"amqp_password": "p@ss/word"}
    assert by_path(known)["gateway/amqp_url"] == "amqp://video:p%40ss%2Fword@rabbitmq:5672/"


def test_the_broker_waits_for_deliveries_as_long_as_in_the_one_machine_run():
    for timeout in (60.0, 3600.0, 14 * 86400.0):
        assert broker.delivery_timeout_s(timeout) == delivery_timeout_s(timeout)


def test_consumer_timeout_follows_job_timeout(tmp_path: Path):
    ten_days = 10 * 86400.0
    text = by_path(made(tmp_path), job_timeout_s=ten_days)["rabbitmq/rabbitmq.conf"]
    assert f"consumer_timeout = {20 * 86400 * 1000}\n" in text


def test_a_password_is_hashed_as_rabbitmq_does():
    salted = base64.b64decode(broker.password_hash("secret", b"\x01\x02\x03\x04"))
    assert salted[:4] == b"\x01\x02\x03\x04"
    assert salted[4:] == hashlib.sha256(b"\x01\x02\x03\x04secret").digest()


def test_the_definitions_are_the_topology(tmp_path: Path):
    found = json.loads(by_path(made(tmp_path))["rabbitmq/definitions.json"])
    assert [item["name"] for item in found["exchanges"]] == list(topology.EXCHANGES)
    assert {item["name"]: item["arguments"] for item in found["queues"]} == {
        queue.name: dict(queue.arguments) for queue in topology.QUEUES
    }
    bound = {(item["source"], item["routing_key"], item["destination"]) for item in found["bindings"]}
    assert bound == {(e, key, queue.name) for queue in topology.QUEUES for e, key in queue.bindings}


def test_the_definitions_hold_no_password_in_clear(tmp_path: Path):
    known = made(tmp_path)
    text = by_path(known)["rabbitmq/definitions.json"]
    assert not [name for name, secret in known.items() if secret in text]


@pytest.mark.parametrize(
    ("environment", "fine"),
    [
        ({}, True),
        ({"BIND": "127.0.0.1", "AUTH": "none"}, True),
        ({"BIND": "0.0.0.0", "AUTH": "api_key"}, True),
        ({"BIND": "0.0.0.0", "AUTH": "none", "ALLOW_ANONYMOUS": "true"}, True),
        ({"BIND": "0.0.0.0", "AUTH": "none"}, False),
        ({"BIND": "0.0.0.0"}, False),
        ({"BIND": "192.0.2.7", "ALLOW_ANONYMOUS": "false"}, False),
    ],
)
def test_the_door_is_not_opened_by_accident(environment: dict[str, str], *, fine: bool):
    assert (open_door(environment) is None) is fine
