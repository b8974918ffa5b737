"""`tuning`: which concurrency and how many threads an ffmpeg make the most of this machine's cores.

The defaults of WORKER_CONCURRENCY and FFMPEG_THREADS come from here; run it on a machine that does nothing else.
"""

import tempfile
from pathlib import Path
from typing import Any

from bench.convert.bare import commands_for, run_all
from bench.convert.figures import CLIP, CLIP_CODECS, figure, make
from services.transcoder import processors
from services.transcoder.converter import ffmpeg_threads
from services.transcoder.settings import TranscoderSettings

CLIPS = 16


async def tuning() -> list[dict[str, Any]]:
    """Sixteen short clips by bare ffmpeg: the default settings beside every other choice."""
    cores = processors.available()
    defaults = TranscoderSettings()
    chosen = (defaults.worker_concurrency, ffmpeg_threads(defaults))
    choices = {
        (at_a_time, threads)
        for at_a_time in {1, max(1, cores // 2), cores, cores + 1, 2 * cores}
        for threads in {0, 1, max(1, cores // 2), cores, round(1.5 * cores)}
    }
    seconds: dict[tuple[int, int], float] = {}
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        source = make(directory / "clip.avi", *CLIP, *CLIP_CODECS)
        for number, (at_a_time, threads) in enumerate(sorted(choices | {chosen})):
            job = await commands_for(source, "mp4", {}, concurrency=at_a_time, threads=threads, directory=directory)
            seconds[at_a_time, threads] = await run_all([job] * CLIPS, directory / str(number), at_a_time=at_a_time)
    best = min(seconds.values())
    return [
        figure(
            "tuning",
            f"s for {CLIPS} clips, the defaults: {chosen[0]} at a time, {chosen[1]} threads each",
            seconds[chosen],
            f"{at_a_time} at a time, {threads or 'ffmpeg chooses its'} threads each",
            value,
            "within 1.05 of the best",
            holds=seconds[chosen] <= best * 1.05,
        )
        for (at_a_time, threads), value in seconds.items()
    ]
