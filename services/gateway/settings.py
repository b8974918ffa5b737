"""What the gateway is told by its environment."""

from pathlib import Path
from secrets import token_urlsafe
from typing import Literal, Self

from pydantic import Field, SecretStr, model_validator

from services.common.settings import CommonSettings, HttpUrl, Port, Seconds, is_loopback

_DEFAULT_LIMITS = {"requests": 200.0, "uploads": 1000, "jobs": 10_000}


class GatewaySettings(CommonSettings):
    """Settings of the gateway; those it shares with the other services are inherited."""

    gateway_host: str = Field("127.0.0.1", description="Address the gateway listens on")
    gateway_port: Port = Field(8000, description="Port the gateway listens on")
    database_url: SecretStr | None = Field(
        None, description="`postgresql://user:password@host/name`; unset for SQLite in `DATA_DIR/jobs.db`"
    )
    s3_public_endpoint: HttpUrl | None = Field(
        None, description="The object store, as browsers reach it; presigned URLs carry this name"
    )
    s3_post_policy: bool = Field(
        default=False, description="The object store takes forms (POST policies), as MinIO and S3 do; rclone does not"
    )
    trust_forwarded: bool | None = Field(
        None,
        description="Believe `X-Forwarded-Host` and `-Proto`, so that presigned URLs carry the name a page was "
        "reached under; unset: only while listening on loopback, where the front door is the one to send them",
    )

    auth: Literal["none", "api_key", "jwt"] = Field("none", description="Who may use the API")
    allow_anonymous: bool = Field(
        default=False, description="Allow `AUTH=none` on an address that other machines can reach"
    )
    jwt_secret: SecretStr | None = Field(None, description="HS256 secret, for `AUTH=jwt`")
    jwt_jwks_file: Path | None = Field(None, description="File with the public keys (JWKS), for `AUTH=jwt`")
    jwt_audience: str | None = Field(None, description="`aud` that tokens must carry")
    jwt_issuer: str | None = Field(None, description="`iss` that tokens must carry")
    jwt_tenant_claim: str = Field("tenant", description="Claim that names the tenant; `sub` is taken in its absence")
    ticket_secret: SecretStr = Field(
        default_factory=lambda: SecretStr(token_urlsafe(32)),
        description="Signs push tickets; the notifier needs the same one",
    )
    ticket_ttl: Seconds = Field(60.0, gt=0, description="How long a push ticket is good")

    tenant_requests_per_second: float | None = Field(
        None, ge=0, description="Requests a second of one tenant; 0 for any, unset: 200, any with `AUTH=none`"
    )
    tenant_open_uploads: int | None = Field(
        None,
        ge=0,
        description="Uploads of one tenant that are no job yet; 0 for any, unset: 1000, any with `AUTH=none`",
    )
    tenant_queued_jobs: int | None = Field(
        None, ge=0, description="Waiting jobs of one tenant; 0 for any, unset: 10000, any with `AUTH=none`"
    )

    upload_url_ttl: Seconds = Field(3600.0, gt=0, le=604800, description="How long an upload URL is good")
    download_url_ttl: Seconds = Field(3600.0, gt=0, le=604800, description="How long a download URL is good")
    sweep_interval: Seconds = Field(15.0, gt=0, description="Time between looks for jobs in limbo")
    vanished_after: Seconds = Field(60.0, gt=0, description="A QUEUED job is looked for in the broker after this time")
    retention_interval: Seconds = Field(3600.0, gt=0, description="Time between collections of what is too old")
    unused_upload_ttl: Seconds = Field(86400.0, gt=0, description="Age at which an upload without a job is removed")
    input_retention: Seconds = Field(
        7 * 86400.0, gt=0, description="Time after a job's end at which its input is removed"
    )
    idempotency_ttl: Seconds = Field(86400.0, gt=0, description="How long an Idempotency-Key is remembered")

    @model_validator(mode="after")
    def _consistent(self) -> Self:
        if self.auth == "none" and not self.allow_anonymous and not is_loopback(self.gateway_host):
            raise ValueError(
                f"AUTH=none on {self.gateway_host} would let anyone who reaches this machine in: set AUTH=api_key or "
                "AUTH=jwt, or say ALLOW_ANONYMOUS=true if that is wanted"
            )
        if self.auth == "jwt" and (self.jwt_secret is None) == (self.jwt_jwks_file is None):
            raise ValueError("AUTH=jwt needs either JWT_SECRET or JWT_JWKS_FILE")
        return self

    @property
    def database(self) -> str:
        """The database as SQLAlchemy's asyncio engines are told."""
        if self.database_url is None:
            return f"sqlite+aiosqlite:///{self.data_dir.absolute() / 'jobs.db'}"
        scheme, _, rest = self.database_url.get_secret_value().partition("://")
        drivers = {"postgres": "postgresql+asyncpg", "postgresql": "postgresql+asyncpg", "sqlite": "sqlite+aiosqlite"}
        return f"{drivers.get(scheme, scheme)}://{rest}"

    @property
    def forwarded_trusted(self) -> bool:
        """True if the `X-Forwarded-` headers are the front door's own."""
        return is_loopback(self.gateway_host) if self.trust_forwarded is None else self.trust_forwarded

    @property
    def public_store(self) -> str:
        """The object store's address for the outside."""
        return self.s3_public_endpoint or self.s3_endpoint

    def limit(self, name: Literal["requests", "uploads", "jobs"]) -> float | None:
        """A tenant's limit, None for no limit."""
        given = {
            "requests": self.tenant_requests_per_second,
            "uploads": self.tenant_open_uploads,
            "jobs": self.tenant_queued_jobs,
        }[name]
        if given is None:
            return None if self.auth == "none" else _DEFAULT_LIMITS[name]
        return given or None
