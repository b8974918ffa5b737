"""Looks into an input file with ffprobe: once, inside the walls, and no further than its first packets."""

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Final

import anyio
import orjson
import structlog

from services.common.errors import ErrorCode, JobFailure
from services.transcoder import diagnose, ffmpeg
from services.transcoder.bounds import DEMUXERS, MAX_PIXELS, MAX_STREAMS
from services.transcoder.ffprobe_json import parse
from services.transcoder.media import MediaInfo
from services.transcoder.result import Result
from services.transcoder.sandbox import environment
from services.transcoder.tools import Tools

_log = structlog.stdlib.get_logger(__name__)

PROBE_TIMEOUT_S: Final = 60.0
_MAX_JSON: Final = 8 << 20
_PACKETS: Final = 12  # enough to see a decoded frame of most codecs

# What files of these begin with, to tell a broken one from one that never was media.
_SIGNATURES: Final = (
    (0, b"\x1aE\xdf\xa3"),
    (4, b"ftyp"),
    (4, b"moov"),
    (4, b"mdat"),
    (0, b"RIFF"),
    (0, b"OggS"),
    (0, b"FLV\x01"),
    (0, b"fLaC"),
    (0, b"ID3"),
    (0, b"GIF8"),
    (0, b"\x89PNG"),
    (0, b"\x30\x26\xb2\x75"),
    (0, b"\x00\x00\x01\xba"),
)


def probe_command(program: str, path: Path) -> list[str]:
    """The whole command that describes `path` as JSON."""
    return [
        program,
        *("-hide_banner", "-loglevel", "repeat+level+warning"),
        *("-protocol_whitelist", "file", "-format_whitelist", DEMUXERS),
        *("-max_streams", str(MAX_STREAMS), "-max_pixels", str(MAX_PIXELS)),
        *("-of", "json=compact=1", "-show_format", "-show_streams", "-show_chapters"),
        *("-show_packets", "-show_frames", "-read_intervals", f"%+#{_PACKETS}"),
        f"file:{path}",
    ]


async def probe(path: Path, tools: Tools) -> MediaInfo:
    """What the file at `path` holds.

    Raises:
        JobFailure: it is not media, is damaged beyond reading, or is larger than is accepted.
    """
    size, start = await anyio.to_thread.run_sync(_beginning, path)
    if size == 0:
        raise JobFailure(ErrorCode.NOT_MEDIA, "This file is empty. Upload it again.")
    command = tools.sandbox.wrap(
        probe_command(tools.ffprobe, path), workdir=path.parent, reads=[path], limits=tools.limits
    )
    result = await ffmpeg.run(
        command,
        cwd=path.parent,
        env=environment(path.parent),
        keep_stdout=_MAX_JSON,
        timeout_s=PROBE_TIMEOUT_S,
    )
    info = _read(result)
    if result.returncode != 0 or info is None or not (info.pictures or info.audio or info.covers):
        raise _unreadable(result, start)
    if any(stream.width * stream.height > MAX_PIXELS for stream in info.video) or _oversized(result, info):
        raise diagnose.too_many_pixels(result.stderr)
    return info


def _beginning(path: Path) -> tuple[int, bytes]:
    with path.open("rb") as file:
        return os.fstat(file.fileno()).st_size, file.read(16)


def _read(result: Result) -> MediaInfo | None:
    try:
        found = orjson.loads(result.stdout)
    except orjson.JSONDecodeError:
        return None
    return parse(found) if isinstance(found, dict) else None


def _oversized(result: Result, info: MediaInfo) -> bool:
    """True if ffprobe itself refused the size of a picture, and so left it at nothing."""
    return any(stream.width == 0 for stream in info.pictures) and diagnose.speaks_of_pixels(result.stderr)


def _unreadable(result: Result, start: bytes) -> JobFailure:
    failure = diagnose.failure(result)
    _log.info("probe_failed", code=failure.code, stderr=result.stderr[-2000:])
    if failure.transient and failure.code is not ErrorCode.INTERNAL:
        return failure
    if failure.code in (ErrorCode.TRUNCATED_INPUT, ErrorCode.TOO_LARGE):
        return failure
    code = ErrorCode.CORRUPT_INPUT if _is_known(start) else ErrorCode.NOT_MEDIA
    return JobFailure(code, detail=result.stderr)


def _is_known(start: bytes, signatures: Sequence[tuple[int, bytes]] = _SIGNATURES) -> bool:
    return any(start[offset : offset + len(magic)] == magic for offset, magic in signatures)
