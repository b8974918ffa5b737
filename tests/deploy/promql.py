"""Every PromQL expression that operators are shown or woken by."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import yaml

ROOT = Path(__file__).resolve().parents[2]
GRAFANA = ROOT / "grafana"


class Expression(NamedTuple):
    where: str
    expr: str


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted((GRAFANA / "dashboards").glob("*.json")):
        for panel in json.loads(path.read_text())["panels"]:
            yield path.stem, panel


def panel_expressions() -> list[Expression]:
    return [
        Expression(f"{dashboard}: {panel['title']} [{target['refId']}]", target["expr"])
        for dashboard, panel in panels()
        for target in panel["targets"]
    ]


def alerts() -> list[dict[str, Any]]:
    rules = yaml.safe_load((GRAFANA / "prometheus/rules/video.yml").read_text())
    return [rule for group in rules["groups"] for rule in group["rules"]]


def alert_expressions() -> list[Expression]:
    return [Expression(alert["alert"], alert["expr"]) for alert in alerts()]
