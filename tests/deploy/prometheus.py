"""Debian's Prometheus on free ports, for as long as a test needs it."""

import contextlib
import shutil
import subprocess
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any, Self

import anyio
import pytest
import yaml
from aiohttp import ClientError, ClientSession

from deploy.embedded.ports import free_ports
from tests.deploy.promql import GRAFANA
from tests.stack import eventually


class Prometheus:
    def __init__(self, session: ClientSession, port: int) -> None:
        self._session = session
        self._url = f"http://127.0.0.1:{port}/api/v1"

    async def query(self, expr: str) -> list[dict[str, Any]]:
        """The samples that `expr` gives now.

        Raises:
            AssertionError: Prometheus does not understand it.
        """
        async with self._session.post(f"{self._url}/query", data={"query": expr}) as response:
            body = await response.json()
        assert body["status"] == "success", f"{expr}: {body}"
        found: list[dict[str, Any]] = body["data"]["result"]
        return found

    async def answers(self) -> bool:
        try:
            return bool(await self.query("vector(1)"))
        except ClientError:
            return False

    async def alerts(self) -> list[dict[str, Any]]:
        """The rules as Prometheus has them loaded, with the health of their last evaluation."""
        async with self._session.get(f"{self._url}/rules") as response:
            body = await response.json()
        return [rule for group in body["data"]["groups"] for rule in group["rules"]]

    @classmethod
    @contextlib.asynccontextmanager
    async def running(cls, directory: Path, targets: Mapping[str, str]) -> AsyncIterator[Self]:
        """The project's rules over `targets` (job name to host:port), looked at every second."""
        program = shutil.which("prometheus")
        if program is None:
            pytest.skip("prometheus is not installed")
        (port,) = free_ports(1)
        config = {
            "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "evaluation_interval": "1s"},
            "rule_files": [str(GRAFANA / "prometheus/rules/*.yml")],
            "scrape_configs": [
                {"job_name": name, "static_configs": [{"targets": [place]}]} for name, place in targets.items()
            ],
        }
        (directory / "prometheus.yml").write_text(yaml.safe_dump(config))
        command = [
            program,
            f"--config.file={directory / 'prometheus.yml'}",
            f"--storage.tsdb.path={directory / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--log.level=warn",
        ]
        async with await anyio.open_process(command, stdout=subprocess.DEVNULL, stderr=None) as process:
            try:
                async with ClientSession() as session:
                    prometheus = cls(session, port)
                    await eventually(prometheus.answers)
                    yield prometheus
            finally:
                process.terminate()
                with anyio.CancelScope(shield=True):
                    await process.wait()
