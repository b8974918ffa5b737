"""Dashboards and panels as data, and the JSON that Grafana makes of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

WIDTH: Final = 24
_DATASOURCE: Final = {"type": "prometheus", "uid": "prometheus"}
# A window that holds several samples whatever the zoom.
RATE: Final = "$__rate_interval"

Kind = Literal["timeseries", "stat", "bargauge"]


@dataclass(frozen=True, slots=True)
class Query:
    """PromQL, and what its lines are called (`{{label}}` is filled in)."""

    expr: str
    legend: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Panel:
    """One picture.

    Attributes:
        unit: Grafana's name for it: s, bytes, Bps, reqps, percentunit, short …
        about: what it shows and when to worry, for the reader who hovers over it.
        stacked: lines add up.
        thresholds: values from which it is yellow, and red.
    """

    title: str
    queries: Sequence[Query]
    unit: str = "short"
    kind: Kind = "timeseries"
    about: str = ""
    width: int = 12
    height: int = 8
    stacked: bool = False
    thresholds: tuple[float, float] | None = None
    maximum: float | None = None
    mappings: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Dashboard:
    """One page; `uid` is its place in addresses and its file's name."""

    uid: str
    title: str
    about: str
    panels: Sequence[Panel]


def render(dashboard: Dashboard) -> dict[str, Any]:
    """`dashboard` in Grafana's JSON model."""
    return {
        "uid": f"video-{dashboard.uid}",
        "title": f"Video: {dashboard.title}",
        "description": dashboard.about,
        "tags": ["video"],
        "schemaVersion": 39,
        "version": 1,
        "editable": False,
        "graphTooltip": 1,
        "refresh": "15s",
        "time": {"from": "now-1h", "to": "now"},
        "timezone": "browser",
        "links": [{"type": "dashboards", "title": "Video", "tags": ["video"], "asDropdown": False, "keepTime": True}],
        "annotations": {"list": []},
        "templating": {"list": []},
        "panels": _placed(dashboard.panels),
    }


def _placed(panels: Sequence[Panel]) -> list[dict[str, Any]]:
    """From left to right and top to bottom, each row as high as its highest panel."""
    placed, x, y, row = [], 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        if x + panel.width > WIDTH:
            x, y, row = 0, y + row, 0
        placed.append(_panel(number, panel, x, y))
        x, row = x + panel.width, max(row, panel.height)
    return placed


def _panel(number: int, panel: Panel, x: int, y: int) -> dict[str, Any]:
    return {
        "id": number,
        "type": panel.kind,
        "title": panel.title,
        "description": panel.about,
        "datasource": _DATASOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height},
        "targets": [
            {
                "refId": chr(ord("A") + position),
                "datasource": _DATASOURCE,
                "expr": query.expr,
                "legendFormat": query.legend or "__auto",
                "range": panel.kind == "timeseries",
                "instant": panel.kind != "timeseries",
            }
            for position, query in enumerate(panel.queries)
        ],
        "fieldConfig": {"defaults": _defaults(panel), "overrides": []},
        "options": _options(panel),
    }


def _defaults(panel: Panel) -> dict[str, Any]:
    defaults: dict[str, Any] = {"unit": panel.unit, "min": 0}
    if panel.maximum is not None:
        defaults["max"] = panel.maximum
    if panel.thresholds:
        yellow, red = panel.thresholds
        steps = [("green", None), ("yellow", yellow), ("red", red)]
        defaults["thresholds"] = {"mode": "absolute", "steps": [{"color": c, "value": v} for c, v in steps]}
        defaults["color"] = {"mode": "thresholds" if panel.kind != "timeseries" else "palette-classic"}
    if panel.mappings:
        texts = {value: {"text": text, "index": n} for n, (value, text) in enumerate(panel.mappings.items())}
        defaults["mappings"] = [{"type": "value", "options": texts}]
    if panel.kind == "timeseries":
        defaults["custom"] = {
            "lineWidth": 1,
            "fillOpacity": 25 if panel.stacked else 8,
            "showPoints": "never",
            "stacking": {"mode": "normal" if panel.stacked else "none"},
            "thresholdsStyle": {"mode": "line" if panel.thresholds else "off"},
        }
    return defaults


def _options(panel: Panel) -> dict[str, Any]:
    if panel.kind == "timeseries":
        return {
            "legend": {"displayMode": "table", "placement": "bottom", "calcs": ["lastNotNull", "max"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }
    return {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False}, "colorMode": "background"}
