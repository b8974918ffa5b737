"""docker-compose.yml: Compose accepts it, what it names exists, and it is as closed as it says."""

import re
from graphlib import TopologicalSorter
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest
from pydantic_settings import BaseSettings

from deploy.docker.prepare_store import StoreSettings
from deploy.docker.secret_files import files, values
from services.common.settings import SECRETS_DIR, parse_seconds
from tests.deploy.compose import ROOT, defaults, render

OURS = ("setup", "store", "gateway", "notifier", "transcoder", "nginx", "use-postgres")
SERVICES = ("gateway", "notifier", "transcoder")


def services() -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = defaults()["services"]
    return found


def mounts(name: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = services()[name].get("volumes", [])
    return found


def settings_of(name: str) -> type[BaseSettings]:
    if name == "store":
        return StoreSettings
    module = import_module(f"services.{name}.settings")
    found: type[BaseSettings] = getattr(module, f"{name.capitalize()}Settings")
    return found


def test_the_promised_services_are_there():
    assert set(services()) >= {"nginx", "gateway", "transcoder", "notifier", "rabbitmq", "minio"}
    assert services()["gateway"]["container_name"] == "api"
    assert "container_name" not in services()["transcoder"], "a fixed name would forbid --scale"
    assert "ports" not in services()["transcoder"], "a fixed port would forbid --scale"
    assert all(services()[name]["profiles"] == ["postgres"] for name in ("postgres", "use-postgres"))
    watchers = ("prometheus", "alertmanager", "grafana")
    assert all(services()[name]["profiles"] == ["observability"] for name in watchers)


def test_every_file_it_names_exists():
    sources = [m["source"] for name in services() for m in mounts(name) if m["type"] == "bind"]
    assert sources
    missing = [source for source in sources if not Path(source).exists()]
    assert not missing


def test_every_build_names_a_stage_of_the_dockerfile():
    for name in OURS:
        build = services()[name]["build"]
        dockerfile = (Path(build["context"]) / build["dockerfile"]).read_text()
        assert re.search(rf"^FROM \S+ AS {build['target']}$", dockerfile, re.MULTILINE), name


def test_every_command_names_a_module():
    for name in OURS:
        command = services()[name].get("command")
        if command:
            assert command[:2] == ["python", "-m"]
            package = ROOT / command[2].replace(".", "/")
            assert package.with_suffix(".py").exists() or (package / "__main__.py").exists(), command[2]


@pytest.mark.parametrize("name", [*SERVICES, "store"])
def test_every_variable_is_a_setting_of_its_service(name: str):
    known = {field.upper() for field in settings_of(name).model_fields}
    # Given to all three alike; each takes what is its own.
    shared = {"MAX_RETRIES", "MAX_UPLOAD_SIZE", "JOB_TIMEOUT"}
    assert set(services()[name]["environment"]) - shared <= known


@pytest.mark.parametrize("name", SERVICES)
def test_the_settings_of_each_service_make_sense(name: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path):
    for variable, value in services()[name]["environment"].items():
        monkeypatch.setenv(variable, value)
    monkeypatch.setenv("SECRETS_DIR", str(tmp_path))
    monkeypatch.setenv(f"{name.upper()}_HOST", "0.0.0.0")
    assert settings_of(name)()


def test_starts_are_ordered_by_health():
    graph = {name: set(service.get("depends_on", {})) for name, service in services().items()}
    order = list(TopologicalSorter(graph).static_order())
    assert order.index("setup") < order.index("rabbitmq") < order.index("gateway") < order.index("nginx")
    for name, service in services().items():
        for other, dependency in service.get("depends_on", {}).items():
            disabled = services()[other].get("healthcheck", {}).get("disable", False)
            assert disabled == (dependency["condition"] == "service_completed_successfully"), (
                f"{name} waits for {other}"
            )


def test_only_the_front_door_can_be_opened_to_others():
    opened = render(BIND="0.0.0.0")["services"]
    public = {name for name, s in opened.items() for port in s.get("ports", []) if port["host_ip"] != "127.0.0.1"}
    assert public == {"nginx"}
    assert [(p["published"], p["target"]) for p in services()["nginx"]["ports"]] == [("8080", 8080)]
    assert all(p["host_ip"] == "127.0.0.1" for s in services().values() for p in s.get("ports", []))


def test_the_transcoder_reaches_only_broker_and_store():
    assert list(services()["transcoder"]["networks"]) == ["work"]
    assert defaults()["networks"]["work"]["internal"] is True
    neighbours = {name for name, s in services().items() if "work" in s.get("networks", {})}
    assert neighbours == {"transcoder", "rabbitmq", "minio", "prometheus"}


@pytest.mark.parametrize("name", OURS)
def test_our_own_containers_are_hardened(name: str):
    service = services()[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert service.get("privileged", False) is False


def test_whatever_stays_running_is_bounded_and_restarted():
    for name, service in services().items():
        if service.get("healthcheck", {}).get("disable"):
            continue
        limits = service["deploy"]["resources"]["limits"]
        assert int(limits["memory"]) > 0, name
        assert limits["pids"] > 0, name
        assert service["restart"] == "unless-stopped", name
        assert service["logging"]["options"]["max-size"], name


def test_no_secret_is_in_the_environment():
    for name, service in services().items():
        for variable, value in service.get("environment", {}).items():
            secret = re.search(r"PASSWORD|SECRET|_KEY|AMQP_URL|DATABASE_URL", variable)
            assert not secret or value.startswith("/run/secrets/"), f"{name}: {variable}"


def test_each_is_given_the_secrets_that_are_made_for_it(tmp_path: Path):
    made = files(values(tmp_path, tmp_path), job_timeout_s=3600, postgres=True)
    directories = {item.path.partition("/")[0] for item in made}
    for name in services():
        for mount in mounts(name):
            if mount.get("source") == "secrets" and mount["target"] != "/secrets":
                assert mount["target"] == SECRETS_DIR
                assert mount["read_only"] is True
                assert mount["volume"]["subpath"] in directories, name
    for service in SERVICES:
        known = set(settings_of(service).model_fields)
        given = {item.path.partition("/")[2] for item in made if item.path.startswith(f"{service}/")}
        assert given <= known, service


def test_a_running_job_may_finish_before_its_container_is_killed():
    transcoder = services()["transcoder"]
    drain = parse_seconds(transcoder["environment"]["DRAIN_TIMEOUT"])
    grace = re.fullmatch(r"(?:(\d+)m)?(?:(\d+)s)?", transcoder["stop_grace_period"])
    assert grace
    assert int(grace[1] or 0) * 60 + int(grace[2] or 0) >= drain + 10


def test_images_are_pinned():
    for name, service in services().items():
        if name not in OURS:
            assert re.search(r":(v?\d+|RELEASE\.)", service["image"]), service["image"]
    assert services()["minio"]["image"] == "quay.io/minio/minio:RELEASE.2025-09-07T16-13-09Z"


def test_settings_reach_the_services():
    changed = render(JOB_TIMEOUT="2h", MAX_UPLOAD_SIZE="5GB", S3_ENDPOINT="https://s3.example.org", AUTH="api_key")
    gateway = changed["services"]["gateway"]["environment"]
    assert gateway["JOB_TIMEOUT"] == "2h"
    assert gateway["MAX_UPLOAD_SIZE"] == "5GB"
    assert gateway["S3_ENDPOINT"] == "https://s3.example.org"
    assert gateway["AUTH"] == "api_key"
    assert changed["services"]["setup"]["environment"]["JOB_TIMEOUT"] == "2h"
