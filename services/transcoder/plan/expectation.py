"""What the output should hold when all goes well, to judge it by."""

from typing import Final

from services.transcoder.diagnose import Expected
from services.transcoder.media import VideoStream
from services.transcoder.plan.choice import Choice
from services.transcoder.plan.model import Request
from services.transcoder.plan.video import AVI_RATE, VideoPlan

_SLACK_FRAMES: Final = 2


def expect(request: Request, choice: Choice, video: VideoPlan | None) -> Expected:
    """What to expect of the streams in `choice`."""
    rate = video.picture.rate if video else None
    return Expected(
        choice.duration_s,
        promised=_promised(request, choice),
        guessed=not request.info.declares_duration,
        frames=_frames(request, choice.picture),
        slack_s=_SLACK_FRAMES / float(rate) if rate else 0.0,
    )


def _promised(request: Request, choice: Choice) -> bool:
    """True if the length expected is what the file says of these very streams."""
    info, trim = request.info, request.options.trim
    if not info.declares_duration or (trim is not None and trim.end_s is None and trim.start_s > 0):
        return False
    used = choice.streams
    if all(stream.duration_s is not None for stream in used):
        return True
    others = len(info.pictures) + len(info.audio) - len(used) + len(info.subtitles) + len(info.others)
    return others == 0


def _frames(request: Request, picture: VideoStream | None) -> int | None:
    if picture is None or picture.edited or picture.interlaced:
        return None
    options = request.options
    if options.trim is not None or options.fps is not None or request.fmt.kind == "image":
        return None
    if request.fmt.muxer == "avi" and (picture.frame_rate or 0) > AVI_RATE:
        return None
    return picture.frames
