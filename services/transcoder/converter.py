"""Makes the converter that this machine and its settings allow, once, at the start."""

import os

from services.common.logs import get_logger
from services.transcoder import hwaccel
from services.transcoder.convert import Bounds, Converter
from services.transcoder.sandbox import Limits
from services.transcoder.settings import TranscoderSettings
from services.transcoder.tools import discover

_log = get_logger(__name__)


async def make_converter(settings: TranscoderSettings) -> Converter:
    """The converter for `settings`.

    Raises:
        ToolsMissingError: there is no ffmpeg here.
    """
    limits = Limits(address_space=settings.ffmpeg_memory, file_size=settings.max_output_size)
    tools = await discover(sandbox=settings.sandbox, limits=limits)
    hardware, codecs = await hwaccel.detect(tools, settings.hwaccel, settings.work_path)
    threads = settings.ffmpeg_threads or shared_threads(settings.worker_concurrency, os.cpu_count() or 1)
    able = hwaccel.capabilities(tools, hardware, codecs, threads)
    _log.info("converter_ready", sandbox=tools.sandbox.kind, hardware=hardware, threads=threads)
    bounds = Bounds(stall_timeout_s=settings.stall_timeout, timeout_s=settings.max_job_seconds)
    return Converter(tools, able, bounds)


def shared_threads(concurrency: int, cores: int) -> int | None:
    """Threads of one ffmpeg when `concurrency` of them share `cores`; None for a machine of its own."""
    return None if concurrency == 1 else max(1, -(-cores // concurrency))
