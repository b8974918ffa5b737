"""`make demo`: a generated clip through a running system, watched live in the terminal.

CVC_URL=http://localhost:8080 python -m services.client.demo [--to webm] [--seconds 10] [-o DIRECTORY]
"""

import argparse
import asyncio
import json
import os
import shutil
import signal
import sys
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.text import Text

from services.client.api import Client
from services.client.cli.bars import Bar, progress_for
from services.client.cli.text import size_text, time_text
from services.client.errors import ClientError, JobFailedError, NotAllowedError, UnreachableError
from services.client.models import Job
from services.client.push.terms import Transport
from services.common.jobs import Status

_NAME: Final = "demo clip.avi"
_VIA: Final = {Transport.WEBSOCKET: "a WebSocket", Transport.SSE: "Server-Sent Events", Transport.POLLING: "polling"}


class DemoError(Exception):
    """The demonstration can't go on; the text says why and what to do."""


def default_url(environment: Mapping[str, str]) -> str:
    """Where the system is: `CVC_URL`, or this machine at `HTTP_PORT`."""
    return environment.get("CVC_URL") or f"http://localhost:{environment.get('HTTP_PORT') or 8080}"


async def _run(*argv: str) -> bytes:
    """Run a program to its end; its output."""
    process = await asyncio.create_subprocess_exec(
        *argv, stdin=asyncio.subprocess.DEVNULL, stdout=asyncio.subprocess.PIPE, stderr=asyncio.subprocess.PIPE
    )
    try:
        output, errors = await process.communicate()
    except asyncio.CancelledError:
        with suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        raise
    if process.returncode:
        lines = errors.decode(errors="replace").strip().splitlines()
        raise DemoError(f"{argv[0]} failed: {lines[-1] if lines else process.returncode}")
    return output


async def make_clip(path: Path, seconds: int) -> None:
    """A test picture with a running clock and a tone, as an old camera would have stored it."""
    if shutil.which("ffmpeg") is None:
        raise DemoError("ffmpeg is needed to make the clip: apt-get install ffmpeg")
    picture = ("-f", "lavfi", "-i", f"testsrc2=size=1280x720:rate=30:duration={seconds}")
    tone = ("-f", "lavfi", "-i", f"sine=frequency=440:duration={seconds}")
    codecs = ("-c:v", "mpeg4", "-q:v", "4", "-c:a", "libmp3lame", "-shortest")
    await _run("ffmpeg", "-v", "error", "-nostdin", "-y", *picture, *tone, *codecs, str(path))


async def describe(path: Path) -> str:
    """What a media file is, in a line: `9.98 s, h264 1280x720 and aac, 1.2 MB`."""
    size = size_text(path.stat().st_size)  # noqa: ASYNC240 -- one call on a local file
    if shutil.which("ffprobe") is None:
        return size
    shape = "format=duration:stream=codec_type,codec_name,width,height"
    report: dict[str, Any] = json.loads(
        await _run("ffprobe", "-v", "error", "-of", "json", "-show_entries", shape, str(path))
    )
    streams = [
        f"{stream['codec_name']} {stream['width']}x{stream['height']}"
        if stream["codec_type"] == "video"
        else stream["codec_name"]
        for stream in report["streams"]
    ]
    duration = report.get("format", {}).get("duration")
    told = [f"{float(duration):.1f} s"] if duration else []
    return ", ".join([*told, " and ".join(streams), size])


async def convert(client: Client, clip: Path, target: Path, output_format: str, bar: Bar) -> tuple[Job, str]:
    """Send, watch and fetch; the finished job, and what it was watched over."""
    uploaded = await client.upload(clip, on_progress=lambda done, total: bar.transfer("uploading", done, total))
    job = await client.submit(uploaded.input_path, output_format, filename=uploaded.filename)
    via = "nothing"
    async with client.watch([job.job_id], give_up_after_s=60) as events:
        async for event in events:
            job = event.job
            bar.job(job)
            via = _VIA[event.transport] if event.transport else via
    if job.status is not Status.COMPLETED:
        raise JobFailedError(job)
    await client.download(job.job_id, target, on_progress=lambda done, total: bar.transfer("fetching", done, total))
    return job, via


async def demonstrate(arguments: argparse.Namespace, console: Console) -> None:
    """The whole demonstration.

    Raises:
        DemoError: something is missing, or the system isn't there.
        ClientError: it did not go well.
    """
    async with Client(arguments.url, os.environ.get("CVC_API_KEY"), patience_s=0) as probe:
        try:
            formats = await probe.formats()
        except (UnreachableError, NotAllowedError) as error:
            raise DemoError(_help(arguments.url, error)) from None
        if (wanted := formats.find(arguments.to)) is None:
            raise DemoError(f"--to is one of {', '.join(fmt.name for fmt in formats.formats)}.")
    directory = Path(arguments.output or tempfile.mkdtemp(prefix="cvc-demo-"))
    directory.mkdir(parents=True, exist_ok=True)  # noqa: ASYNC240 -- one call on a local file
    clip, target = directory / _NAME, directory / Path(_NAME).with_suffix(f".{wanted.extension or wanted.name}")
    console.print(f"Making a clip of {arguments.seconds} s …")
    await make_clip(clip, arguments.seconds)
    _say(console, f"Made {clip.name}: {await describe(clip)}")
    async with Client(arguments.url, os.environ.get("CVC_API_KEY")) as client:
        with progress_for(console) as progress:
            bar = Bar(progress, clip.name)
            try:
                job, via = await convert(client, clip, target, wanted.name, bar)
            except ClientError as error:
                bar.failed(str(error))
                raise
            bar.finished(f"watched over {via}")
    took = (job.finished_at - job.created_at).total_seconds() if job.finished_at else None
    _say(console, f"Converted in {time_text(took)} by job {job.job_id}.")
    _say(console, f"The result is {target}")
    _say(console, f"It is {await describe(target)}.")


def _say(console: Console, text: str) -> None:
    console.print(Text(text), soft_wrap=True)


def _help(url: str, error: ClientError) -> str:
    if isinstance(error, NotAllowedError):
        return f"{url} asks for an API key: set CVC_API_KEY."
    return (
        f"{error}\nStart the system with `make up` in another terminal and wait for it to say that it is ready; "
        "if it runs elsewhere, set CVC_URL (or HTTP_PORT)."
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m services.client.demo", description=__doc__)
    parser.add_argument("--url", default=default_url(os.environ), help="the front door (default: %(default)s)")
    parser.add_argument("--to", default="mp4", help="output format (default: %(default)s)")
    parser.add_argument("--seconds", type=int, default=10, help="length of the clip (default: %(default)s)")
    parser.add_argument("-o", "--output", help="directory for the files (default: a new temporary one)")
    return parser


def main(argv: Sequence[str] | None = None) -> int:
    """Run it; the exit status."""
    arguments = _parser().parse_args(argv)
    console = Console()
    with suppress(ValueError):  # not the main thread
        signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        asyncio.run(demonstrate(arguments, console))
    except (DemoError, ClientError) as error:
        Console(stderr=True).print(Text(str(error)), soft_wrap=True)
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main())
