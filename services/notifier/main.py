"""The notifier's parts, put together and started."""

import resource
from functools import partial
from typing import Final

import anyio

from services.common import metrics
from services.common.bus import Bus
from services.common.lifecycle import Service, Stop
from services.common.web import serve
from services.notifier.app import PushApp, make_app
from services.notifier.driver import Driver
from services.notifier.feed import Feed
from services.notifier.hub import Hub
from services.notifier.limits import Stats
from services.notifier.replay import Replayer
from services.notifier.settings import NotifierSettings

_GOODBYE_S: Final = 3.0
_METRICS_EVERY_S: Final = 1.0


async def start(settings: NotifierSettings, service: Service, stop: Stop) -> None:
    """Run until `stop` is requested; then turn newcomers away, say goodbye to everybody, and let go."""
    _allow_many_files()
    bus = Bus(settings.amqp_url.get_secret_value(), name="notifier")
    hub = Hub(settings.hub)
    driver = Driver(hub)
    feed = Feed(bus, driver, warm_up_s=settings.warm_up, warm_up_events=settings.warm_up_events)
    push = PushApp(settings, driver, feed)
    app = make_app(push, bus, feed, settings)
    service.start("bus", bus.run)
    service.start("replay", Replayer(bus, driver, timeout_s=settings.replay_timeout).run)
    service.start("feed", feed.run)
    service.start("metrics", partial(_export, hub.stats))
    service.start(
        "http",
        partial(serve, app, settings.notifier_host, settings.notifier_port, shutdown_timeout_s=1.0),
    )
    await stop.requested.wait()
    push.stop()
    await driver.shutdown(min(_GOODBYE_S, settings.shutdown_timeout / 2))
    await service.stop_all()


async def _export(stats: Stats) -> None:
    """Keep the metrics up to what the hub has counted."""
    while True:
        metrics.DELIVERIES.set({}, stats.deliveries)
        metrics.CONFLATIONS.set({}, stats.conflations)
        for reason, count in stats.evictions.items():
            metrics.EVICTIONS.set({"reason": reason}, count)
        await anyio.sleep(_METRICS_EVERY_S)


def _allow_many_files() -> None:
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
