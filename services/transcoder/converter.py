"""The converter of this machine: its tools found, its hardware tried, its bounds taken from the settings."""

import os

from services.transcoder import hwaccel
from services.transcoder.convert import Bounds, Converter
from services.transcoder.sandbox import Limits
from services.transcoder.settings import TranscoderSettings
from services.transcoder.tools import discover
from services.transcoder.workdir import WorkDir


async def make_converter(settings: TranscoderSettings, workdir: WorkDir) -> Converter:
    """Find out what this machine can do, and bind it.

    Raises:
        ToolsMissingError: there is no ffmpeg.
    """
    tools = await discover(
        sandbox=settings.sandbox,
        limits=Limits(
            address_space=settings.ffmpeg_memory,
            # No conversion that makes sense grows its input this much, and the work directory must outlive it.
            file_size=settings.max_output_size,
        ),
    )
    hardware, codecs = await hwaccel.detect(tools, settings.hwaccel, workdir.path)
    able = hwaccel.capabilities(tools, hardware, codecs, ffmpeg_threads(settings))
    bounds = Bounds(stall_timeout_s=settings.stall_timeout, timeout_s=settings.max_job_seconds)
    return Converter(tools, able, bounds, at_a_time=settings.worker_concurrency)


def ffmpeg_threads(settings: TranscoderSettings) -> int | None:
    """Threads for one ffmpeg; None leaves it to the encoder, which then takes about one a core."""
    if settings.ffmpeg_threads:
        return settings.ffmpeg_threads
    cores = os.cpu_count() or 1
    # Oversubscribing by half keeps the cores busy while one job reads, writes or waits.
    return max(1, round(cores * 1.5 / settings.worker_concurrency)) if settings.worker_concurrency > 1 else None
