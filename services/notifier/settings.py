"""What the notifier is told by its environment."""

from secrets import token_urlsafe
from typing import Annotated, Literal, Self

from pydantic import BeforeValidator, Field, SecretStr, model_validator
from pydantic_settings import NoDecode

from services.common.settings import ByteSize, CommonSettings, Port, Seconds, is_loopback
from services.notifier.limits import HubConfig


def _split(value: object) -> object:
    if not isinstance(value, str):
        return value
    return tuple(part for part in value.replace(",", " ").split() if part)


Origins = Annotated[tuple[str, ...], NoDecode, BeforeValidator(_split)]


class NotifierSettings(CommonSettings):
    """Settings of the notifier; those it shares with the other services are inherited."""

    notifier_host: str = Field("127.0.0.1", description="Address the notifier listens on")
    notifier_port: Port = Field(8001, description="Port the notifier listens on")

    auth: Literal["none", "api_key", "jwt"] = Field(
        "none", description="Who may watch; all but `none` means with a ticket"
    )
    allow_anonymous: bool = Field(
        default=False, description="Allow `AUTH=none` on an address that other machines can reach"
    )
    ticket_secret: SecretStr = Field(
        default_factory=lambda: SecretStr(token_urlsafe(32)),
        description="Verifies push tickets; the gateway needs the same one",
    )
    allowed_origins: Origins = Field(
        (),
        description="Origins (`https://host:port`) whose pages may connect, compared exactly; "
        "unset: pages of the host that was asked",
    )
    trust_forwarded: bool | None = Field(
        None, description="Believe `X-Forwarded-Host`; unset: only while listening on loopback"
    )

    max_connections: int = Field(20_000, gt=0, description="Push connections of one process")
    max_tenant_connections: int | None = Field(
        None, gt=0, description="Those of one tenant; unset: half of `MAX_CONNECTIONS`, or all of it with `AUTH=none`"
    )
    handshake_rate: float = Field(1_000.0, gt=0, description="New push connections a second, before 503")
    handshake_burst: int = Field(10_000, gt=0, description="New push connections at once, before 503")

    flush_window: Seconds = Field(
        0.03,
        ge=0.001,
        description="What happens within this time goes to a client in one write; the end of a job at once",
    )
    heartbeat: Seconds = Field(20.0, gt=0, description="Time between pings; a silent peer is gone after two")
    push_history: ByteSize = Field(64 << 20, description="Newest events kept in memory, for clients that come back")
    push_jobs: int = Field(10_000, gt=0, description="Jobs kept in memory, for snapshots")
    snapshot_jobs: int = Field(500, gt=0, description="Ended jobs in a snapshot, besides all that go on")
    slow_reader_limit: ByteSize = Field(256 << 10, description="Held for a slow reader before it is closed with 1013")
    warm_up: Seconds = Field(86_400.0, description="How far back the stream is read before the notifier is ready")
    warm_up_events: int = Field(250_000, gt=0, description="At most this many events are; some 10,000 take a second")
    replay_timeout: Seconds = Field(20.0, gt=0, description="Time to read the past from the stream for one client")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.auth == "none" and not self.allow_anonymous and not is_loopback(self.notifier_host):
            raise ValueError(
                f"AUTH=none on {self.notifier_host} would let anyone who reaches this machine watch: set AUTH=api_key "
                "or AUTH=jwt, or say ALLOW_ANONYMOUS=true if that is wanted"
            )
        if self.auth != "none" and "ticket_secret" not in self.model_fields_set:
            raise ValueError(f"AUTH={self.auth} needs TICKET_SECRET, the same as the gateway's")
        return self

    @property
    def forwarded_trusted(self) -> bool:
        """True if the `X-Forwarded-` headers are the front door's own."""
        return is_loopback(self.notifier_host) if self.trust_forwarded is None else self.trust_forwarded

    @property
    def tenant_connections(self) -> int:
        """Push connections of one tenant in this process."""
        if self.max_tenant_connections is not None:
            return self.max_tenant_connections
        return self.max_connections if self.auth == "none" else max(1, self.max_connections // 2)

    @property
    def hub(self) -> HubConfig:
        """What the hub goes by."""
        return HubConfig(
            window_s=self.flush_window,
            heartbeat_s=self.heartbeat,
            history_bytes=self.push_history,
            max_jobs_known=self.push_jobs,
            snapshot_ended=self.snapshot_jobs,
            backlog_bytes=self.slow_reader_limit,
        )
