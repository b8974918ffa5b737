"""Runs once before everything else in compose: refuses to open the door to everybody by accident, makes the secrets.

    python -m deploy.docker.setup             reads BIND, AUTH, ALLOW_ANONYMOUS and JOB_TIMEOUT
    python -m deploy.docker.setup postgres    the same, and points the gateway at compose's own PostgreSQL

Run again it keeps what it made before.  To use secrets of your own, put each as a file into deploy/docker/secrets.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from deploy.docker.secret_files import files, values, write
from services.common.settings import parse_seconds

GIVEN: Final = Path("/given")
SECRETS: Final = Path("/secrets")
_LOOPBACK: Final = ("", "127.0.0.1", "::1", "[::1]", "localhost")


def open_door(environment: Mapping[str, str]) -> str | None:
    """What is wrong if anyone on the network could use the system without a key; None if nothing is."""
    bind = environment.get("BIND", "")
    if bind in _LOOPBACK or environment.get("AUTH", "none") not in ("", "none"):
        return None
    if environment.get("ALLOW_ANONYMOUS", "").lower() in ("1", "true", "yes", "on"):
        return None
    return (
        f"BIND={bind} lets other machines in, and with AUTH=none they need no key.\n"
        "Set AUTH=api_key or AUTH=jwt, or say ALLOW_ANONYMOUS=true if that is wanted."
    )


def main(arguments: list[str]) -> int:
    """0 if everything is in place, 2 if the settings make no sense."""
    fault = open_door(os.environ)
    if fault:
        sys.stderr.write(f"{fault}\n")
        return 2
    try:
        job_timeout_s = float(parse_seconds(os.environ.get("JOB_TIMEOUT") or "3600"))
    except ValueError as error:
        sys.stderr.write(f"JOB_TIMEOUT: {error}\n")
        return 2
    known = values(GIVEN, SECRETS / "kept")
    write(SECRETS, files(known, job_timeout_s=job_timeout_s, postgres="postgres" in arguments))
    sys.stderr.write("Secrets are in place.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
