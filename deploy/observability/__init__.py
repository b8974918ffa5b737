"""Grafana's dashboards as code: `python -m deploy.observability` writes them to grafana/dashboards."""
