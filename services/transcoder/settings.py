"""The transcoder's settings."""

from pathlib import Path

from pydantic import Field

from services.common.settings import ByteSize, CommonSettings, Port, Seconds
from services.transcoder import processors
from services.transcoder.hwaccel import Hwaccel
from services.transcoder.sandbox import Mode


class TranscoderSettings(CommonSettings):
    """What a transcoder reads from the environment."""

    transcoder_host: str = Field("127.0.0.1", description="Address of the transcoder's health and metrics")
    transcoder_port: Port = Field(8002, description="Port of the transcoder's health and metrics")
    work_dir: Path | None = Field(None, description="Directory for files in work; `DATA_DIR/work` if not set")
    worker_concurrency: int = Field(
        default_factory=lambda: min(4, processors.available()),
        ge=1,
        le=64,
        description="Jobs converted at a time by one transcoder; by default one a processor, at most 4",
    )
    ffmpeg_threads: int = Field(
        0, ge=0, le=256, description="Threads of one ffmpeg; 0 shares the cores among the concurrent jobs"
    )
    sandbox: Mode = Field(
        "auto", description="`bubblewrap` to insist on it, `none` to do without, `auto` to use it where it works"
    )
    hwaccel: Hwaccel = Field(
        "auto", description="Hardware encoder: `auto` for the first that works, a kind, or `none` for the processor"
    )
    ffmpeg_memory: ByteSize = Field(8 << 30, description="Address space of one ffmpeg; one that needs more fails")
    max_output_size: ByteSize = Field(16 << 30, description="Largest file that one ffmpeg may write")
    stall_timeout: Seconds = Field(120.0, gt=0, description="ffmpeg without progress for longer is ended, and retried")
    max_job_seconds: Seconds = Field(6 * 3600.0, gt=0, description="Longest time one attempt may take in ffmpeg")
    drain_timeout: Seconds = Field(
        5.0, description="Time for running jobs to finish after SIGTERM before they are given back"
    )
    progress_interval: Seconds = Field(0.5, description="Least time between two progress events of a job")
    disk_reserve: ByteSize = Field(256 << 20, description="Free space that must remain in WORK_DIR; less takes no job")

    @property
    def work_path(self) -> Path:
        """The directory for files in work."""
        return self.work_dir or self.data_dir / "work"
