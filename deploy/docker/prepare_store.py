"""Makes the bucket ready before the services start: it exists, litter expires, and other origins may upload.

    python -m deploy.docker.prepare_store

Works on MinIO and on any other S3 store.  What a store has no notion of (MinIO takes its CORS rules from its own
environment, some have no lifecycle) is said and left; nothing of it is needed for a single conversion.
"""

import asyncio
import sys
from typing import Final
from urllib.parse import urlsplit
from xml.sax.saxutils import escape

from aiohttp import ClientError
from miniopy_async.api import Minio
from miniopy_async.commonconfig import ENABLED, Filter
from miniopy_async.error import MinioException, S3Error
from miniopy_async.lifecycleconfig import AbortIncompleteMultipartUpload, Expiration, LifecycleConfig, Rule
from pydantic import Field

from services.common import keys, logs
from services.common.logs import get_logger
from services.common.settings import CommonSettings, load_or_exit
from services.common.storage import Storage, StorageError

log = get_logger(__name__)

_ATTEMPTS: Final = 30
_PAUSE_S: Final = 2.0
_MULTIPART_DAYS: Final = 2


class StoreSettings(CommonSettings):
    """What the bucket is to be like."""

    store_expiry_days: int = Field(
        30,
        ge=1,
        description="Age in days at which the store itself removes inputs and kept outcomes; a net below "
        "`INPUT_RETENTION`, so more than that",
    )
    allowed_origins: str = Field("", description="Origins, by commas, of pages elsewhere that upload to the store")

    @property
    def origins(self) -> list[str]:
        """The allowed origins, one each."""
        return [origin.strip() for origin in self.allowed_origins.split(",") if origin.strip()]


def lifecycle(days: int) -> LifecycleConfig:
    """Rules for what the gateway's own collection should have removed long before.  Results have no rule."""
    return LifecycleConfig(
        [
            Rule(
                ENABLED,
                rule_filter=Filter(prefix=keys.UPLOADS),
                rule_id="inputs",
                expiration=Expiration(days=days),
                # In the same rule as the expiration: MinIO, which ends multiparts by itself, refuses it alone.
                abort_incomplete_multipart_upload=AbortIncompleteMultipartUpload(_MULTIPART_DAYS),
            ),
            Rule(
                ENABLED,
                rule_filter=Filter(prefix=keys.OUTCOMES),
                rule_id="outcomes",
                expiration=Expiration(days=days),
            ),
        ]
    )


def cors(origins: list[str]) -> bytes:
    """The CORS document of a bucket for browsers on `origins`: parts may be put and their ETags read."""
    allowed = "".join(f"<AllowedOrigin>{escape(origin)}</AllowedOrigin>" for origin in origins)
    methods = "".join(f"<AllowedMethod>{method}</AllowedMethod>" for method in ("GET", "HEAD", "PUT", "POST"))
    return (
        '<CORSConfiguration xmlns="http://s3.amazonaws.com/doc/2006-03-01/"><CORSRule>'
        f"{allowed}{methods}<AllowedHeader>*</AllowedHeader><ExposeHeader>ETag</ExposeHeader>"
        "<MaxAgeSeconds>3600</MaxAgeSeconds></CORSRule></CORSConfiguration>"
    ).encode()


async def prepare(settings: StoreSettings) -> bool:
    """Do all of it; False if the store never answered."""
    if not await _bucket(settings):
        return False
    endpoint = urlsplit(settings.s3_endpoint)
    client = Minio(
        endpoint.netloc,
        access_key=settings.s3_access_key,
        secret_key=settings.s3_secret_key.get_secret_value(),
        region=settings.s3_region,
        secure=endpoint.scheme == "https",
    )
    async with client:
        await _lifecycle(client, settings)
        await _cors(client, settings)
    return True


async def _bucket(settings: StoreSettings) -> bool:
    async with Storage(settings) as storage:
        for _ in range(_ATTEMPTS):
            try:
                await storage.ensure_bucket()
            except StorageError as error:
                log.warning("store_not_ready", error=repr(error))
                await asyncio.sleep(_PAUSE_S)
            else:
                log.info("bucket_ready", bucket=settings.s3_bucket)
                return True
    return False


async def _lifecycle(client: Minio, settings: StoreSettings) -> None:
    try:
        await client.set_bucket_lifecycle(settings.s3_bucket, lifecycle(settings.store_expiry_days))
    except (MinioException, ClientError, ValueError) as error:
        log.warning("lifecycle_refused", error=_reason(error))
    else:
        log.info("lifecycle_set", days=settings.store_expiry_days)


async def _cors(client: Minio, settings: StoreSettings) -> None:
    if not settings.origins:
        return
    try:
        # The library has no call for it, only this one for any.
        await client._execute(  # noqa: SLF001
            "PUT", settings.s3_bucket, body=cors(settings.origins), query_params={"cors": ""}
        )
    except (MinioException, ClientError, ValueError) as error:
        log.warning("cors_refused", error=_reason(error))
    else:
        log.info("cors_set", origins=settings.origins)


def _reason(error: Exception) -> str:
    return str(error.code) if isinstance(error, S3Error) else type(error).__name__


def main() -> int:
    """0 if the bucket is there, 1 if the store never answered, 2 if the settings make no sense."""
    settings = load_or_exit(StoreSettings)
    logs.configure("prepare-store", level=settings.log_level, style=settings.log_format)
    return 0 if asyncio.run(prepare(settings)) else 1


if __name__ == "__main__":
    sys.exit(main())
