"""Whether the service in this container is alive: the one of the three that listens has to say so.

Readiness is another question: a gateway whose broker is away is still worth having.
"""

import os
import sys
from http.client import HTTPConnection, HTTPException

PORTS = {"GATEWAY_PORT": 8000, "NOTIFIER_PORT": 8001, "TRANSCODER_PORT": 8002}
TIMEOUT_S = 3.0


def alive(port: int) -> bool:
    """True if something at `port` answers `/healthz` with 200.

    Raises:
        ConnectionRefusedError: nothing listens there.
    """
    connection = HTTPConnection("127.0.0.1", port, timeout=TIMEOUT_S)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200  # noqa: PLR2004
    except ConnectionRefusedError:
        raise
    except (OSError, HTTPException):
        return False
    finally:
        connection.close()


def main() -> int:
    """0 if the service is alive, else 1."""
    for name, default in PORTS.items():
        try:
            return 0 if alive(int(os.environ.get(name) or default)) else 1
        except ConnectionRefusedError:
            continue
    return 1


if __name__ == "__main__":
    sys.exit(main())
