"""Collecting what is too old: uploads without a job, multipart uploads left open, inputs of jobs long finished."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Final

from services.common import metrics
from services.common.jobs import now, timestamp
from services.common.keys import UPLOADS
from services.common.logs import get_logger
from services.common.storage import ObjectMissingError, Storage, StorageError, StorageRefusedError
from services.gateway.garbage import remove_garbage
from services.gateway.settings import GatewaySettings
from services.gateway.store.engine import StoreUnavailableError
from services.gateway.store.retention import Ages, forget_old, in_use, stale_multiparts
from services.gateway.store.store import Store

log = get_logger(__name__)

_CHUNK: Final = 200
# As long as the broker keeps what workers are told to stop: until then a late event could bring a job back.
_DELETED_KEPT: Final = timedelta(days=7)
_DEAD_KEPT: Final = timedelta(days=30)


@dataclass(slots=True)
class Collection:
    """What is too old in the store; `multiparts` by key and id."""

    objects: list[str] = field(default_factory=list)
    bytes: int = 0
    multiparts: list[tuple[str, str]] = field(default_factory=list)


async def _old_uploads(storage: Storage, before: datetime) -> AsyncIterator[list[tuple[str, int]]]:
    """Uploads last changed before `before`, with their sizes, some at a time."""
    chunk: list[tuple[str, int]] = []
    async for found in storage.list_objects(UPLOADS):
        if found.modified < before:
            chunk.append((found.key, found.size))
        if len(chunk) == _CHUNK:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


async def _old_multiparts(store: Store, storage: Storage, before: datetime) -> list[tuple[str, str]]:
    """Those we know of that are still open, and those that only the store knows of."""
    ours = await store.read(stale_multiparts, timestamp(before))
    found = {
        (upload.key, upload.upload_id) for upload in await storage.list_multiparts(UPLOADS) if upload.initiated < before
    }
    for key, upload_id in ours:
        with suppress(ObjectMissingError, StorageRefusedError):  # completed or aborted long ago
            await storage.list_parts(key, upload_id)
            found.add((key, upload_id))
    return sorted(found)


async def find_old(settings: GatewaySettings, store: Store, storage: Storage) -> Collection:
    """All that may go.

    Raises:
        StorageError, StoreUnavailableError.
    """
    moment = now()
    unused_before = moment - timedelta(seconds=settings.unused_upload_ttl)
    finished_before = timestamp(moment - timedelta(seconds=settings.input_retention))
    found = Collection()
    async for chunk in _old_uploads(storage, unused_before):
        used = await store.read(in_use, [key for key, _ in chunk], finished_before)
        for key, size in chunk:
            if key not in used:
                found.objects.append(key)
                found.bytes += size
    found.multiparts = await _old_multiparts(store, storage, unused_before)
    return found


async def collect(settings: GatewaySettings, store: Store, storage: Storage) -> Collection:
    """Remove all that may go, and the rows that are too old; what that was.

    Raises:
        StorageError, StoreUnavailableError: what was not reached is found again next time.
    """
    removed = await remove_garbage(store, storage)
    metrics.COLLECTED.add({"kind": "deleted"}, removed)
    found = await find_old(settings, store, storage)
    for key in found.objects:
        await storage.remove(key)
        metrics.COLLECTED.inc({"kind": "upload"})
    for key, upload_id in found.multiparts:
        await storage.abort_multipart(key, upload_id)
        metrics.COLLECTED.inc({"kind": "multipart"})
    metrics.COLLECTED.add({"kind": "row"}, await store.write(forget_old, _ages(settings)))
    return found


def _ages(settings: GatewaySettings) -> Ages:
    moment = now()
    return Ages(
        idempotency=timestamp(moment - timedelta(seconds=settings.idempotency_ttl)),
        uploads=timestamp(moment - timedelta(seconds=settings.unused_upload_ttl)),
        deleted=timestamp(moment - _DELETED_KEPT),
        dead=timestamp(moment - _DEAD_KEPT),
    )


async def run(settings: GatewaySettings, store: Store, storage: Storage) -> None:
    """Collect now and then until cancelled."""
    while True:
        try:
            async with store.claim("retention") as ours:
                if ours:
                    found = await collect(settings, store, storage)
                    if found.objects or found.multiparts:
                        log.info(
                            "old_uploads_removed",
                            objects=len(found.objects),
                            bytes=found.bytes,
                            multiparts=len(found.multiparts),
                        )
        except (StorageError, StoreUnavailableError) as error:
            log.warning("retention_interrupted", error=repr(error))
        await asyncio.sleep(settings.retention_interval)
