"""What may be set for the embedded run, all from the environment."""

from pathlib import Path
from typing import Annotated

from pydantic import AfterValidator, Field
from pydantic_settings import BaseSettings, SettingsConfigDict

from deploy.embedded.layout import CHECKOUT, Layout
from deploy.embedded.spec import PortUse
from services.common.settings import HttpUrl, Seconds

LOOPBACK = "127.0.0.1"
_EVERY_ADDRESS = ("0.0.0.0", "::")  # noqa: S104 - compared with, not bound to

ListenPort = Annotated[int, Field(ge=1, le=65535)]
ServicePort = Annotated[int, Field(ge=0, le=65535)]


class EmbeddedSettings(BaseSettings):
    """Ports, addresses and the data directory of one copy of the system."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    http_port: ListenPort = Field(8080, description="nginx: the page, the API, the push and the objects")
    gateway_port: ListenPort = Field(8000, description="The gateway")
    notifier_port: ListenPort = Field(8001, description="The notifier")
    transcoder_port: ListenPort = Field(8002, description="The transcoder's health and metrics")
    s3_port: ListenPort = Field(9000, description="The embedded object store")
    amqp_port: ListenPort = Field(5672, description="RabbitMQ")
    epmd_port: ServicePort = Field(0, description="Erlang's port mapper, private to this copy; 0 finds a free one")
    amqp_dist_port: ServicePort = Field(0, description="RabbitMQ's management connections; 0 finds a free one")
    bind: str = Field(LOOPBACK, description="Address nginx listens on; all else stays on 127.0.0.1")
    data_dir: Annotated[Path, AfterValidator(Path.absolute)] = Field(
        CHECKOUT / ".data", description="All that the embedded run keeps"
    )
    job_timeout: Seconds = Field(3600.0, gt=0, description="As for the services; the broker's own limit follows it")
    s3_public_endpoint: HttpUrl | None = Field(
        None, description="Where browsers reach the object store; the front door unless set"
    )

    @property
    def layout(self) -> Layout:
        return Layout(self.data_dir)

    @property
    def url(self) -> str:
        """Where to point a browser."""
        host = "localhost" if self.bind in (LOOPBACK, *_EVERY_ADDRESS) else self.bind
        return f"http://{f'[{host}]' if ':' in host else host}:{self.http_port}"

    @property
    def port_uses(self) -> tuple[PortUse, ...]:
        """Every port that has to be free; those left for the system to choose are not among them."""
        uses = (
            PortUse("HTTP_PORT", self.bind, self.http_port),
            PortUse("GATEWAY_PORT", LOOPBACK, self.gateway_port),
            PortUse("NOTIFIER_PORT", LOOPBACK, self.notifier_port),
            PortUse("TRANSCODER_PORT", LOOPBACK, self.transcoder_port),
            PortUse("S3_PORT", LOOPBACK, self.s3_port),
            PortUse("AMQP_PORT", LOOPBACK, self.amqp_port),
            PortUse("EPMD_PORT", LOOPBACK, self.epmd_port),
            PortUse("AMQP_DIST_PORT", LOOPBACK, self.amqp_dist_port),
        )
        return tuple(use for use in uses if use.port)
