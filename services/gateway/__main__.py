"""`python -m services.gateway`."""

import sys
from functools import partial

from services.common import telemetry
from services.common.lifecycle import run_service
from services.common.logs import configure
from services.common.settings import load_or_exit
from services.gateway.main import start
from services.gateway.settings import GatewaySettings


def main() -> None:
    """Run the gateway until it is told to stop."""
    settings = load_or_exit(GatewaySettings)
    configure("gateway", level=settings.log_level, style=settings.log_format)
    # The database's thread gives the interpreter away with every row and wants it back at once; by default it would
    # wait 5 ms each time for a loop that is busy with requests.
    sys.setswitchinterval(0.0005)
    with telemetry.exporting("gateway", settings.otel_exporter_otlp_endpoint):
        run_service(partial(start, settings), deadline_s=settings.shutdown_timeout)


if __name__ == "__main__":
    main()
