"""Dashboards, alerts and their runbooks: made of metrics that exist, checked by Prometheus' own tools."""

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml
from aioprometheus.collectors import REGISTRY, Histogram

from deploy.observability.__main__ import DIRECTORY, text
from deploy.observability.dashboards import DASHBOARDS
from services.common import metrics
from services.common.errors import ERRORS, ErrorCode
from tests.deploy.promql import GRAFANA, ROOT, Expression, alert_expressions, alerts, panel_expressions, panels

RUNBOOKS = ROOT / "docs/operations/runbooks"
# Prometheus' own.
BUILT_IN = {"up"}
_NAME = re.compile(r"\b(?:api|video)_[a-z_]+\b|\bup\b(?=[{ ])")


def declared() -> set[str]:
    """The names of all series that services.common.metrics can expose."""
    assert metrics.API_REQUESTS.name in REGISTRY.collectors
    names = set()
    for name, collector in REGISTRY.collectors.items():
        names.add(name)
        if isinstance(collector, Histogram):
            names |= {f"{name}_bucket", f"{name}_sum", f"{name}_count"}
    return names


def tool(name: str) -> str:
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed")
    return found


def run(*command: str | Path, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    return subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, cwd=cwd)


@pytest.mark.parametrize("expression", [*panel_expressions(), *alert_expressions()], ids=lambda e: e.where)
def test_every_query_is_made_of_metrics_that_exist(expression: Expression):
    names = set(_NAME.findall(expression.expr))
    assert names, "a query without a metric"
    assert names <= declared() | BUILT_IN


def test_every_metric_is_looked_at():
    """A metric nobody sees is a promise nobody keeps."""
    seen = " ".join(expression.expr for expression in [*panel_expressions(), *alert_expressions()])
    unseen = {name for name in REGISTRY.collectors if name not in seen}
    assert not unseen


@pytest.mark.parametrize("dashboard", DASHBOARDS, ids=lambda d: d.uid)
def test_the_json_is_what_the_code_makes(dashboard: Any):
    written = (DIRECTORY / f"{dashboard.uid}.json").read_text()
    assert written == text(dashboard), "run: python -m deploy.observability"


def test_the_promised_dashboards_are_there():
    assert {d.title for d in DASHBOARDS} == {"System health", "Business", "Resources", "Queue", "Push"}
    assert {path.stem for path in DIRECTORY.glob("*.json")} == {d.uid for d in DASHBOARDS}


def test_panels_do_not_overlap():
    taken: dict[tuple[str, int, int], str] = {}
    for dashboard, panel in panels():
        place = panel["gridPos"]
        assert place["x"] + place["w"] <= 24
        for x in range(place["x"], place["x"] + place["w"]):
            for y in range(place["y"], place["y"] + place["h"]):
                assert taken.setdefault((dashboard, x, y), panel["title"]) == panel["title"]


def test_dashboards_use_the_provisioned_datasource():
    source = yaml.safe_load((GRAFANA / "provisioning/datasources/prometheus.yml").read_text())["datasources"][0]
    used = {target["datasource"]["uid"] for _, panel in panels() for target in panel["targets"]}
    assert used == {source["uid"]}


@pytest.mark.parametrize("alert", alerts(), ids=lambda a: a["alert"])
def test_every_alert_has_a_runbook_of_its_own(alert: dict[str, Any]):
    assert alert["labels"]["severity"] in ("page", "ticket")
    path = ROOT / alert["annotations"]["runbook_url"]
    kebab = re.sub(r"(?<!^)(?=[A-Z])", "-", alert["alert"]).lower()
    assert path == RUNBOOKS / f"{kebab}.md"
    content = path.read_text()
    assert content.startswith(f"# {alert['alert']}\n")
    assert all(f"\n## {part}\n" in content for part in ("What it means", "Look", "Do"))


def test_no_runbook_is_left_over():
    known = {Path(alert["annotations"]["runbook_url"]).name for alert in alerts()}
    assert {path.name for path in RUNBOOKS.glob("*.md")} == known | {"README.md"}


def test_failures_of_ours_are_alerted_and_only_those():
    """Every code is either ours or the upload's; a new one has to be put on one of the sides."""
    of_the_upload = {
        ErrorCode.NOT_MEDIA,
        ErrorCode.NO_VIDEO,
        ErrorCode.NO_AUDIO,
        ErrorCode.CORRUPT_INPUT,
        ErrorCode.TRUNCATED_INPUT,
        ErrorCode.UNSUPPORTED,
        ErrorCode.INVALID_OPTIONS,
        ErrorCode.TOO_LARGE,
        ErrorCode.INPUT_MISSING,
    }
    expr = next(alert["expr"] for alert in alerts() if alert["alert"] == "JobsFailing")
    found = re.search(r'code=~"([a-z_|]+)"', expr)
    assert found
    assert set(found[1].split("|")) == {str(code) for code in ERRORS} - {str(code) for code in of_the_upload}


def test_promtool_accepts_configuration_and_rules():
    done = run(tool("promtool"), "check", "config", GRAFANA / "prometheus/prometheus.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_alerts_fire_when_they_should_and_not_otherwise():
    done = run(tool("promtool"), "test", "rules", GRAFANA / "prometheus/tests/video_test.yml")
    assert done.returncode == 0, done.stdout + done.stderr
    content = (GRAFANA / "prometheus/tests/video_test.yml").read_text()
    assert not [alert["alert"] for alert in alerts() if alert["alert"] not in content], "alerts without a test"


def test_amtool_accepts_the_alertmanagers_configuration():
    done = run(tool("amtool"), "check-config", GRAFANA / "alertmanager/alertmanager.yml")
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_panel_query_is_promql(tmp_path: Path):
    """promtool reads rules only, so each query becomes one."""
    expressions = [expression.expr.replace("$__rate_interval", "1m") for expression in panel_expressions()]
    rules = [{"record": f"test:panel:{n}", "expr": expr} for n, expr in enumerate(expressions)]
    path = tmp_path / "panels.yml"
    path.write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}))
    done = run(tool("promtool"), "check", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr
