"""`python -m services.notifier`."""

from functools import partial

from services.common import telemetry
from services.common.lifecycle import run_service
from services.common.logs import configure
from services.common.settings import load_or_exit
from services.notifier.main import start
from services.notifier.settings import NotifierSettings


def main() -> None:
    """Run the notifier until it is told to stop."""
    settings = load_or_exit(NotifierSettings)
    configure("notifier", level=settings.log_level, style=settings.log_format)
    with telemetry.exporting("notifier", settings.otel_exporter_otlp_endpoint):
        run_service(partial(start, settings), deadline_s=settings.shutdown_timeout)


if __name__ == "__main__":
    main()
