"""The decisions of the embedded run: everything that needs no process."""

import socket
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from pydantic import ValidationError

from deploy.embedded import ports
from deploy.embedded.broker import broker_files, delivery_timeout_s
from deploy.embedded.credentials import load_or_create
from deploy.embedded.frontdoor import TEMPLATE, fill_in, front_door_files
from deploy.embedded.layout import CHECKOUT, Layout
from deploy.embedded.ports import free_ports, port_problems
from deploy.embedded.prepare import DataDirInUseError, locked, write_files
from deploy.embedded.process import bound, rotate, tail
from deploy.embedded.programs import service_environment
from deploy.embedded.restarts import RestartPolicy
from deploy.embedded.settings import EmbeddedSettings
from deploy.embedded.spec import FileSpec, PortUse


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> EmbeddedSettings:
    for name in EmbeddedSettings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)
    return EmbeddedSettings(data_dir=tmp_path)


def test_a_restart_waits_longer_each_time_and_stops_at_the_fifth() -> None:
    policy = RestartPolicy()
    deaths = [0.0, 1.0, 2.0, 3.0, 4.0]
    assert [policy.delay_s(deaths[:count], deaths[count - 1]) for count in range(1, 6)] == [0.5, 1, 2, 4, None]


def test_a_death_long_after_the_last_is_like_the_first() -> None:
    assert RestartPolicy().delay_s([0.0, 1.0, 2.0, 3.0, 100.0], 100.0) == 0.5


def test_a_taken_port_is_told_with_its_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        (problem,) = port_problems([PortUse("S3_PORT", "127.0.0.1", port)])
    assert problem == f"port {port} on 127.0.0.1 is taken by another program; set S3_PORT to another port"


def test_one_port_for_two_settings_is_told() -> None:
    (port,) = free_ports(1)
    problems = port_problems([PortUse("A", "127.0.0.1", port), PortUse("B", "127.0.0.1", port)])
    assert problems == [f"B and A are both {port}: give one of them another port"]


def test_an_address_of_another_machine_is_told() -> None:
    (problem,) = port_problems([PortUse("HTTP_PORT", "192.0.2.1", 8080)])
    assert "192.0.2.1" in problem
    assert "HTTP_PORT" in problem


def test_free_ports_are_distinct() -> None:
    assert len(set(free_ports(20))) == 20


def test_a_port_that_was_given_is_given_to_no_other_process(monkeypatch: pytest.MonkeyPatch) -> None:
    (port,) = free_ports(1)
    monkeypatch.setattr(ports, "_CHOICE", range(port, port + 1))
    with pytest.raises(OSError, match="fewer than 1"):
        free_ports(1)
    another = f"from deploy.embedded import ports; ports._CHOICE = range({port}, {port + 1}); ports.free_ports(1)"
    done = subprocess.run([sys.executable, "-c", another], cwd=CHECKOUT, capture_output=True, text=True, check=False)
    assert "fewer than 1" in done.stderr


def test_secrets_are_made_once_private_and_not_shown(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    first = load_or_create(path)
    assert load_or_create(path) == first
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert first.s3_secret_key not in repr(first)


def test_a_secret_that_is_missing_is_added_and_the_others_stay(tmp_path: Path) -> None:
    path = tmp_path / "secrets"
    first = load_or_create(path)
    path.write_text("".join(line for line in path.read_text().splitlines(keepends=True) if "TICKET" not in line))
    second = load_or_create(path)
    assert second.s3_secret_key == first.s3_secret_key
    assert second.ticket_secret != first.ticket_secret
    assert load_or_create(path) == second


def test_settings_have_the_documented_defaults(settings: EmbeddedSettings) -> None:
    assert {use.setting: use.port for use in settings.port_uses} == {
        "HTTP_PORT": 8080,
        "GATEWAY_PORT": 8000,
        "NOTIFIER_PORT": 8001,
        "TRANSCODER_PORT": 8002,
        "S3_PORT": 9000,
        "AMQP_PORT": 5672,
    }
    assert settings.url == "http://localhost:8080"


@pytest.mark.parametrize(
    ("bind", "url"),
    [
        ("0.0.0.0", "http://localhost:8080"),
        ("192.0.2.7", "http://192.0.2.7:8080"),
        ("::1", "http://[::1]:8080"),
    ],
)
def test_the_address_to_open_follows_the_one_listened_on(settings: EmbeddedSettings, bind: str, url: str) -> None:
    assert settings.model_copy(update={"bind": bind}).url == url


def test_a_port_that_is_none_is_refused() -> None:
    with pytest.raises(ValidationError):
        EmbeddedSettings(http_port=0)


def test_the_services_environment_is_the_callers_with_ours_over_it(settings: EmbeddedSettings, tmp_path: Path) -> None:
    credentials = load_or_create(tmp_path / "secrets")
    caller = {"MAX_RETRIES": "7", "AMQP_URL": "amqp://elsewhere/", "S3_PUBLIC_ENDPOINT": "http://video.example"}
    environment = service_environment(settings, credentials, caller)
    assert environment["MAX_RETRIES"] == "7"
    assert environment["AMQP_URL"] == f"amqp://video:{credentials.amqp_password}@127.0.0.1:5672/"
    assert environment["S3_PUBLIC_ENDPOINT"] == "http://video.example"
    assert environment["DATA_DIR"] == str(tmp_path)


def test_a_delivery_may_be_out_for_longer_than_any_job() -> None:
    assert delivery_timeout_s(3600) == 7 * 86_400
    assert delivery_timeout_s(30 * 86_400) == 60 * 86_400


def test_the_brokers_files_keep_its_secrets_to_the_user(settings: EmbeddedSettings, tmp_path: Path) -> None:
    credentials = load_or_create(tmp_path / "secrets")
    files = {file.path.name: file for file in broker_files(settings, credentials)}
    assert "listeners.tcp.local = 127.0.0.1:5672" in files["rabbitmq.conf"].text
    assert files["rabbitmq.conf"].mode == 0o600
    assert files[".erlang.cookie"].mode == 0o400


def test_the_template_has_a_value_for_each_variable_and_none_left(settings: EmbeddedSettings) -> None:
    files = front_door_files(settings, TEMPLATE.read_text(), as_root=False, open_files=1024)
    texts = {file.path.name: file.text for file in files}
    assert "${" not in texts["site.conf"]
    assert "listen 127.0.0.1:8080;" in texts["site.conf"]
    assert "user root" not in texts["nginx.conf"]
    with pytest.raises(KeyError):
        fill_in("${UNKNOWN}", {})


def test_only_one_copy_may_use_a_data_directory(tmp_path: Path) -> None:
    layout = Layout(tmp_path)
    with locked(layout), pytest.raises(DataDirInUseError, match="DATA_DIR"), locked(layout):
        pass
    with locked(layout):
        pass


def test_files_are_written_anew_with_their_mode(tmp_path: Path) -> None:
    path = tmp_path / "cookie"
    for text in ("one", "two"):
        write_files([FileSpec(path, text, mode=0o400)])
    assert path.read_text() == "two"
    assert stat.S_IMODE(path.stat().st_mode) == 0o400


def test_logs_are_put_aside_cut_and_read_from_their_end(tmp_path: Path) -> None:
    log = tmp_path / "a.log"
    log.write_text("".join(f"line {number}\n" for number in range(100_000)))
    assert tail(log, 2) == ["line 99998", "line 99999"]
    bound(log, limit=10)
    assert log.read_text() == ""
    assert (tmp_path / "a.log.1").stat().st_size > 10
    log.write_text("new")
    rotate(log)
    assert not log.exists()
    assert (tmp_path / "a.log.1").read_text() == "new"
    assert tail(log, 2) == []
