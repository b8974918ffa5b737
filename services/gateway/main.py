"""The gateway's parts, put together and started."""

import gc
from functools import partial

import anyio

from services.common.bus import Bus
from services.common.lifecycle import Service, Stop
from services.common.logs import get_logger
from services.common.rpc import Caller
from services.common.storage import Storage, StorageError
from services.common.web import serve
from services.gateway import retention
from services.gateway.app import make_app
from services.gateway.auth import authenticator
from services.gateway.context import Gateway
from services.gateway.dead import Undertaker
from services.gateway.gauges import measure
from services.gateway.limits import CountLimit, RateLimit
from services.gateway.objects import Objects
from services.gateway.projector import Projector
from services.gateway.relay import Relay
from services.gateway.settings import GatewaySettings
from services.gateway.store.reads import count_queued, count_uploads
from services.gateway.store.store import Store
from services.gateway.sweeps import Sweeper
from services.gateway.waiters import Waiters

log = get_logger(__name__)


async def make_gateway(
    settings: GatewaySettings, store: Store, storage: Storage, bus: Bus, transcoders: Caller
) -> Gateway:
    """The gateway's parts on what is given."""
    waiters = Waiters()
    store.on_commit(waiters.committed)
    return Gateway(
        settings=settings,
        store=store,
        storage=storage,
        objects=Objects(storage),
        bus=bus,
        transcoders=transcoders,
        authenticator=await authenticator(settings, store),
        waiters=waiters,
        requests=RateLimit(settings.limit("requests")),
        open_uploads=CountLimit(
            settings.limit("uploads"),
            lambda tenant, limit: store.read(count_uploads, tenant, limit),
            "Too many uploads have been begun and not made into jobs. Finish some of them first.",
        ),
        queued_jobs=CountLimit(
            settings.limit("jobs"),
            lambda tenant, limit: store.read(count_queued, tenant, limit),
            "Too many of your jobs are waiting. Let some of them finish first.",
        ),
    )


async def _ensure_bucket(storage: Storage) -> None:
    """Make the bucket when the store can be reached; the gateway need not wait for that."""
    while True:
        try:
            await storage.ensure_bucket()
        except StorageError as error:
            log.warning("bucket_not_ready", error=repr(error))
            await anyio.sleep(2)
        else:
            await anyio.sleep_forever()


async def start(settings: GatewaySettings, service: Service, stop: Stop) -> None:
    """Start the parts.  They stop in the reverse order: requests, then what works in the background, then writes."""
    store = await service.enter(Store(settings.database))
    storage = await service.enter(Storage(settings))
    bus = Bus(settings.amqp_url.get_secret_value(), name="gateway")
    projector = Projector(store, bus)
    transcoders = Caller(bus, "gateway")
    gateway = await make_gateway(settings, store, storage, bus, transcoders)
    service.start("store", store.run)
    service.start("bucket", partial(_ensure_bucket, storage))
    service.start("bus", bus.run)
    service.start("answers", transcoders.run)
    service.start("relay", Relay(store, bus).run)
    service.start("projector", projector.run)
    service.start("undertaker", Undertaker(store, bus).run)
    service.start("sweeper", Sweeper(settings, store, bus, projector).run)
    service.start("retention", partial(retention.run, settings, store, storage))
    service.start("gauges", partial(measure, store))
    service.start(
        "http",
        partial(
            serve,
            make_app(gateway),
            settings.gateway_host,
            settings.gateway_port,
            shutdown_timeout_s=settings.shutdown_timeout / 2,
        ),
    )
    # What was made up to here stays; looking through it again and again would stop everybody for tens of milliseconds.
    gc.freeze()
    await stop.requested.wait()
    gateway.waiters.close()
