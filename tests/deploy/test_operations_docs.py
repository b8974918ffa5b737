"""The operators' pages: links lead somewhere, and what commands name exists."""

import re
import shlex
from pathlib import Path

import pytest
from opentelemetry.sdk import environment_variables

from deploy.docker.secret_files import GENERATED, OPTIONAL
from tests.deploy.compose import ROOT, defaults
from tests.deploy.manifests import OVERLAYS, of_kind
from tests.deploy.test_compose import SERVICES, settings_of

PAGES = [*sorted((ROOT / "docs/operations").rglob("*.md")), ROOT / "deploy/docker/secrets/README.md"]
COMPOSE_TEXT = (ROOT / "docker-compose.yml").read_text()

every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def commands(page: Path) -> list[str]:
    text = page.read_text()
    blocks = re.findall(r"^```sh\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    in_line = re.findall(r"`((?:[A-Z_0-9]+=\S+ )*(?:docker|kubectl|python -m|promtool) [^`]+)`", text)
    return [line for block in blocks for line in block.splitlines() if line] + [c.replace("\n", " ") for c in in_line]


def anchors(page: Path) -> set[str]:
    titles = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title).strip().lower().replace(" ", "-") for title in titles}


@every_page
def test_links_lead_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#:]*(?:#[\w-]+)?)\)", page.read_text()):
        path, _, anchor = target.partition("#")
        linked = (page.parent / path).resolve() if path else page
        assert linked.exists(), target
        assert not anchor or anchor in anchors(linked), target


@every_page
def test_compose_commands_name_services_that_are_there(page: Path):
    for command in commands(page):
        words = shlex.split(command)
        if "compose" not in words:
            continue
        words = words[words.index("compose") + 1 :]
        names = {word.partition("=")[0].partition(":")[0] for word in words}
        for profile in (words[n + 1] for n, word in enumerate(words) if word == "--profile"):
            assert f"profiles: [{profile}]" in COMPOSE_TEXT
        verb = next(
            word for word in words if word in ("up", "ps", "logs", "exec", "stop", "start", "cp", "run", "build")
        )
        if verb in ("logs", "exec", "stop", "start", "run"):
            assert names & set(defaults()["services"]), command
        for scaled in re.findall(r"--scale (\w+)=", command):
            assert scaled in defaults()["services"], command


@every_page
def test_files_and_modules_in_commands_exist(page: Path):
    for command in commands(page):
        for path in re.findall(r"(?<![\w/.-])(?:/app/)?((?:deploy|docs|grafana|services)/[\w./-]+)", command):
            assert (ROOT / path.rstrip("/")).exists(), command
        for module in re.findall(r"python -m ((?:deploy|services)[\w.]+)", command):
            path = ROOT / module.replace(".", "/")
            assert path.with_suffix(".py").exists() or (path / "__main__.py").exists(), command


def test_kubernetes_commands_name_what_is_there():
    names = {name for overlay in OVERLAYS for name in of_kind(overlay, "Deployment")}
    for page in PAGES:
        for command in commands(page):
            for found in re.findall(r"deploy(?:ment)?[ /](\w+)", command):
                assert found in names | {"docker", "k8s"}, command


@every_page
def test_capitals_are_settings(page: Path):
    known = {field.upper() for service in SERVICES for field in settings_of(service).model_fields}
    known |= set(re.findall(r"\$\{([A-Z0-9_]+)", COMPOSE_TEXT))
    known |= {"SECRETS_DIR", "STORE_EXPIRY_DAYS", "ALLOWED_ORIGINS"}
    known |= {name for name in vars(environment_variables) if name.startswith("OTEL_")}
    states = {"QUEUED", "PROCESSING", "COMPLETED", "FAILED", "CANCELLED", "SIGTERM", "PUT"}
    for word in re.findall(r"`([A-Z][A-Z0-9]*_[A-Z0-9_]+)(?:=[^`]*)?`", page.read_text()):
        assert word in known | states, word


def test_every_secret_is_described():
    text = (ROOT / "deploy/docker/secrets/README.md").read_text()
    assert all(f"`{name}`" in text for name in (*GENERATED, *OPTIONAL))
