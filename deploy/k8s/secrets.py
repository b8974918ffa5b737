"""Prints the Secrets that the manifests refer to, with new values.

    python -m deploy.k8s.secrets [DIRECTORY] | kubectl apply -f -

Values that lie as files in DIRECTORY have precedence: those of deploy/docker/secrets/README.md, by the same names.
Run it once: run again without the directory it makes new ones.  Where the broker, the store and the database are
elsewhere, `amqp_url`, `rabbitmq_management_url` and `database_url` must be among the files.
"""

import base64
import json
import os
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

from deploy.docker import broker
from deploy.docker.secret_files import SecretFile, files, values
from services.common.settings import parse_seconds

NAMESPACE: Final = "video"
MOUNTED_AT: Final = "/etc/video/secrets"
# Kept values and the consoles' passwords belong to compose.
_NOT_HERE: Final = ("kept", "postgres", "grafana")


def manifests(known: dict[str, str], *, job_timeout_s: float) -> dict[str, Any]:
    """One Secret for each that needs one, as a List."""
    made = files(known, job_timeout_s=job_timeout_s, postgres=False, mounted_at=MOUNTED_AT)
    texts: defaultdict[str, dict[str, str]] = defaultdict(dict)
    for item in made:
        _sort_in(texts, item)
    monitor = f"{broker.MONITOR_USER}:{quote(known['rabbitmq_monitor_password'], safe='')}"
    inside = f"http://{monitor}@rabbitmq.{NAMESPACE}:15672/"
    texts["keda"]["host"] = known.get("rabbitmq_management_url") or inside
    return {"apiVersion": "v1", "kind": "List", "items": [_secret(name, data) for name, data in texts.items()]}


def _sort_in(texts: defaultdict[str, dict[str, str]], item: SecretFile) -> None:
    directory, _, name = item.path.partition("/")
    if directory not in _NOT_HERE:
        texts[directory][name] = item.text


def _secret(name: str, texts: dict[str, str]) -> dict[str, Any]:
    return {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {"name": f"video-{name}", "namespace": NAMESPACE},
        "type": "Opaque",
        "data": {key: base64.b64encode(text.encode()).decode() for key, text in texts.items()},
    }


def main(arguments: list[str]) -> int:
    """Write the manifests to stdout; 0 if all went well."""
    given = Path(arguments[0] if arguments else os.devnull)
    job_timeout_s = float(parse_seconds(os.environ.get("JOB_TIMEOUT") or "3600"))
    json.dump(manifests(values(given, Path(os.devnull)), job_timeout_s=job_timeout_s), sys.stdout, indent=2)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
