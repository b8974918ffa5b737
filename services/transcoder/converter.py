"""The converter of this machine: its tools found, its hardware tried, its bounds taken from the settings."""

from services.transcoder import hwaccel, processors
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


def ffmpeg_threads(settings: TranscoderSettings) -> int:
    """Threads for one ffmpeg: as set, or its share of the processors (measured by the benchmark `tuning`)."""
    if settings.ffmpeg_threads:
        return settings.ffmpeg_threads
    # As many again by half keep the processors busy while one job reads, writes or waits.
    return max(1, round(1.5 * processors.available() / settings.worker_concurrency))
