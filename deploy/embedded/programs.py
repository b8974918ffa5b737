"""Our own three services: their environment and their processes."""

import sys
from collections.abc import Mapping

from deploy.embedded.broker import amqp_url
from deploy.embedded.credentials import Credentials
from deploy.embedded.layout import CHECKOUT
from deploy.embedded.settings import LOOPBACK, EmbeddedSettings
from deploy.embedded.spec import HttpProbe, ProcessSpec
from deploy.embedded.store import BUCKET, REGION

# A little more than a service gives itself: DRAIN_TIMEOUT and SHUTDOWN_TIMEOUT, 15 seconds unless set otherwise.
_STOP_GRACE_S = 20.0


def service_environment(
    settings: EmbeddedSettings, credentials: Credentials, caller: Mapping[str, str], *, vhost: str = ""
) -> dict[str, str]:
    """All of the caller's environment, with the addresses and keys of this copy laid over it."""
    defaults = {
        "TICKET_SECRET": credentials.ticket_secret,
        "ALLOWED_ORIGINS": "",
        "S3_PUBLIC_ENDPOINT": settings.s3_public_endpoint or settings.url,
    }
    return {
        **defaults,
        **caller,
        "AMQP_URL": amqp_url(settings, credentials, vhost),
        "S3_ENDPOINT": f"http://{LOOPBACK}:{settings.s3_port}",
        "S3_ACCESS_KEY": credentials.s3_access_key,
        "S3_SECRET_KEY": credentials.s3_secret_key,
        "S3_REGION": REGION,
        "S3_BUCKET": BUCKET,
        "DATA_DIR": str(settings.data_dir),
        "GATEWAY_HOST": LOOPBACK,
        "GATEWAY_PORT": str(settings.gateway_port),
        "NOTIFIER_HOST": LOOPBACK,
        "NOTIFIER_PORT": str(settings.notifier_port),
        "TRANSCODER_HOST": LOOPBACK,
        "TRANSCODER_PORT": str(settings.transcoder_port),
        "PYTHONPATH": str(CHECKOUT),
        "PYTHONUNBUFFERED": "1",
    }


def service_specs(settings: EmbeddedSettings, environment: Mapping[str, str]) -> tuple[ProcessSpec, ...]:
    """Gateway, transcoder and notifier; `environment` from `service_environment`."""

    def service(name: str, port: int, stop_stage: int, *options: str) -> ProcessSpec:
        return ProcessSpec(
            name=name,
            argv=(sys.executable, *options, "-m", f"services.{name}"),
            env=environment,
            cwd=CHECKOUT,
            log=settings.layout.log(name),
            ready=HttpProbe(LOOPBACK, port),
            after=("rabbitmq", "s3"),
            stop_stage=stop_stage,
            stop_grace_s=_STOP_GRACE_S,
        )

    return (
        service("gateway", settings.gateway_port, 0),
        service("notifier", settings.notifier_port, 0),
        # Without docstrings it takes 2.5 MB less; the others make their API documents from them.
        service("transcoder", settings.transcoder_port, 1, "-OO"),
    )
