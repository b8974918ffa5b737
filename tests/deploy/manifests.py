"""The Kubernetes overlays as kustomize builds them."""

import subprocess
import sys
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).resolve().parents[2]
OVERLAYS = ("single-node", "production", "production-scale-to-zero")

Manifest = dict[str, Any]


@cache
def build(overlay: str) -> tuple[Manifest, ...]:
    """All objects of an overlay.

    Raises:
        AssertionError: kustomize refuses it.
    """
    kubectl = Path(sys.executable).with_name("kubectl")
    done = subprocess.run(
        [str(kubectl), "kustomize", str(ROOT / "deploy/k8s/overlays" / overlay)],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert not done.stderr, done.stderr
    return tuple(yaml.safe_load_all(done.stdout))


def of_kind(overlay: str, kind: str) -> dict[str, Manifest]:
    """Those of one kind, by name."""
    return {item["metadata"]["name"]: item for item in build(overlay) if item["kind"] == kind}


def pods(overlay: str) -> Iterator[tuple[str, Manifest]]:
    """Every pod template, by the name of what makes it."""
    for item in build(overlay):
        if item["kind"] in ("Deployment", "StatefulSet", "Job"):
            yield item["metadata"]["name"], item["spec"]["template"]
