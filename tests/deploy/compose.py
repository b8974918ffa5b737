"""docker-compose.yml as Docker Compose itself understands it, all profiles on."""

import json
import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parents[2]
PROFILES = ("postgres", "observability")


def render(**environment: str) -> dict[str, Any]:
    """The resolved model with `environment` set and nothing else of the caller's but what the program needs.

    Raises:
        AssertionError: Compose finds it wrong.
    """
    program = Path(sys.executable).with_name("docker-compose")
    options = [option for profile in PROFILES for option in ("--profile", profile)]
    done = subprocess.run(
        [str(program), "--file", str(ROOT / "docker-compose.yml"), *options, "config", "--format", "json"],
        env={"PATH": os.environ["PATH"], "HOME": "/nonexistent", **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "variable is not set" not in done.stderr, done.stderr
    model: dict[str, Any] = json.loads(done.stdout)
    return model


@cache
def defaults() -> dict[str, Any]:
    return render()
