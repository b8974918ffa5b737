"""The transcoder's program: its parts, in the order they start; they stop the other way round."""

from aiohttp import web as aiohttp_web

from services.common import logs, metrics, telemetry, web
from services.common.bus import Bus
from services.common.errors import ErrorCode
from services.common.lifecycle import Service, Stop, run_service
from services.common.settings import load_or_exit
from services.common.storage import Storage
from services.transcoder.converter import make_converter
from services.transcoder.inputs import Inputs
from services.transcoder.pipeline import Pipeline
from services.transcoder.planner import Planner
from services.transcoder.settings import TranscoderSettings
from services.transcoder.workdir import WorkDir
from services.transcoder.worker import Worker


async def start(service: Service, stop: Stop, settings: TranscoderSettings, workdir: WorkDir) -> None:
    """Start every part; when asked to stop, drain."""
    _begin_at_zero()
    bus = Bus(settings.amqp_url.get_secret_value(), name="transcoder")
    storage = await service.enter(Storage(settings))
    convert = await make_converter(settings, workdir)
    inputs = Inputs(storage, workdir, settings)
    worker = Worker(bus, Pipeline(storage, inputs, convert), settings)
    planner = Planner(bus, inputs, convert)
    service.start("bus", bus.run)
    service.start("http", lambda: _serve(settings, bus, storage))
    service.start("cancellations", worker.cancellations.run)
    service.start("beat", worker.beat.run)
    service.start("planner", planner.run)
    service.start("intake", worker.run)
    await stop.requested.wait()
    await service.stop("intake")
    await worker.drain(stop.hurried)


def _begin_at_zero() -> None:
    """What has no value yet is not exposed: an idle transcoder would look like none, a first dead letter like none."""
    for gauge in (metrics.WORKERS_BUSY, metrics.FFMPEG_RUNNING):
        gauge.set({}, 0)
    metrics.REDELIVERIES.set({}, 0)
    for code in (ErrorCode.BAD_MESSAGE, ErrorCode.WORKER_LOST):
        metrics.DEAD_LETTERS.set({"code": code}, 0)


async def _serve(settings: TranscoderSettings, bus: Bus, storage: Storage) -> None:
    app = aiohttp_web.Application(middlewares=[web.errors_middleware])
    web.add_health(app, {"broker": bus.fault, "storage": storage.fault})
    await web.serve(app, settings.transcoder_host, settings.transcoder_port, shutdown_timeout_s=1.0)


def main() -> None:
    """Run the transcoder until it is told to stop."""
    settings = load_or_exit(TranscoderSettings)
    logs.configure("transcoder", level=settings.log_level, style=settings.log_format)
    workdir = WorkDir(settings.work_path)
    try:
        with telemetry.exporting("transcoder", settings.otel_exporter_otlp_endpoint):
            run_service(
                lambda service, stop: start(service, stop, settings, workdir),
                deadline_s=settings.drain_timeout + settings.shutdown_timeout,
                runs_programs=True,
            )
    finally:
        workdir.close()
