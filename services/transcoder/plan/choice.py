"""Which streams of the input are converted, and how much of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from services.common.errors import ErrorCode, JobFailure
from services.transcoder.media import AudioStream, MediaInfo, Stream, VideoStream
from services.transcoder.plan.audio import choose_tracks, default_track
from services.transcoder.plan.model import Request


@dataclass(frozen=True, slots=True)
class Choice:
    """The picture and the sound tracks to keep, and the seconds that will come out; None if unknown."""

    picture: VideoStream | None
    tracks: tuple[AudioStream, ...]
    duration_s: float | None

    @property
    def streams(self) -> tuple[Stream, ...]:
        return tuple(stream for stream in (self.picture, *self.tracks) if stream is not None)

    @property
    def default(self) -> int | None:
        """Input index of the track to mark as the one to play."""
        return default_track(self.tracks).index if self.tracks else None


def choose(request: Request) -> Choice:
    """The streams to convert.

    Raises:
        JobFailure: there is nothing of what is wanted, or the piece to convert lies behind the end.
    """
    picture, tracks = _picture(request), choose_tracks(request)
    if picture is None and not tracks:
        raise JobFailure(ErrorCode.NO_AUDIO)
    return Choice(picture, tracks, _duration(request, [stream for stream in (picture, *tracks) if stream]))


def _picture(request: Request) -> VideoStream | None:
    """The picture to convert: of several the default one, then the largest."""
    fmt, info = request.fmt, request.info
    if fmt.kind == "audio" or request.options.video == "none":
        return None
    if not info.pictures:
        raise JobFailure(ErrorCode.NO_VIDEO)
    chosen = max(info.pictures, key=lambda stream: (stream.default, stream.width * stream.height, -stream.index))
    if chosen.codec is None:
        raise JobFailure(ErrorCode.UNSUPPORTED, detail=f"stream {chosen.index} has an unknown codec")
    return chosen


def _duration(request: Request, streams: Sequence[Stream]) -> float | None:
    """Seconds of the output.

    Raises:
        JobFailure: the piece to convert lies behind the end.
    """
    ends = [_end(request.info, stream) for stream in streams]
    known = [end for end in ends if end is not None]
    whole = max(known) if known and len(known) == len(ends) else request.info.duration_s
    trim = request.options.trim
    if trim is None:
        return whole
    if whole is not None and trim.start_s >= whole:
        raise JobFailure(
            ErrorCode.INVALID_OPTIONS,
            f"The file is {whole:.1f} s long; choose a start before that instead of {trim.start_s:g} s.",
        )
    if trim.end_s is None:
        return None if whole is None else whole - trim.start_s
    return (trim.end_s if whole is None else min(trim.end_s, whole)) - trim.start_s


def _end(info: MediaInfo, stream: Stream) -> float | None:
    """When a stream ends, from the start of the file."""
    if stream.duration_s is None:
        return None
    end = max(0.0, (stream.start_s or info.start_s) - info.start_s) + stream.duration_s
    # Some writers count a late beginning into the length of a stream.
    return min(end, info.duration_s) if info.duration_s is not None and info.declares_duration else end
