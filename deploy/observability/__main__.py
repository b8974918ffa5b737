"""Writes the dashboards where Grafana's provisioning reads them."""

import json
from pathlib import Path
from typing import Final

from deploy.observability.dashboards import DASHBOARDS
from deploy.observability.panels import Dashboard, render

DIRECTORY: Final = Path(__file__).parents[2] / "grafana" / "dashboards"


def text(dashboard: Dashboard) -> str:
    """What is in the file of `dashboard`."""
    return json.dumps(render(dashboard), indent=1) + "\n"


if __name__ == "__main__":
    for each in DASHBOARDS:
        (DIRECTORY / f"{each.uid}.json").write_text(text(each))
