"""What the job shows of its plan: the fate of each stream, and what is lost."""

from collections.abc import Sequence

from services.common.jobs import Plan, StreamPlan, Warning_
from services.transcoder.media import AudioStream, OtherStream, Stream, VideoStream
from services.transcoder.plan.audio import usable
from services.transcoder.plan.model import Decision, Request


def summarize(request: Request, decided: Sequence[Decision], duration_s: float | None) -> Plan:
    """The fate of every stream of the input, in its order; `decided` need not tell of those simply left out."""
    told = {decision.index: decision.summary for decision in decided}
    for stream in (*request.info.video, *request.info.audio, *request.info.others):
        if stream.index not in told:
            told[stream.index] = _dropped(request, stream)
    notes = [note for decision in decided for note in decision.notes]
    return Plan(
        format=request.fmt.name,
        duration_s=None if duration_s is None else round(duration_s, 3),
        streams=[told[index] for index in sorted(told)],
        notes=notes,
    )


def _dropped(request: Request, stream: Stream) -> StreamPlan:
    kind, reason = _why_dropped(request, stream)
    about = {"stream": stream.index, "type": kind, "codec": stream.codec, "action": "drop", "reason": reason}
    return StreamPlan.model_validate(about)


def _why_dropped(request: Request, stream: Stream) -> tuple[str, str]:
    """The type of the stream, and the reason."""
    match stream:
        case VideoStream(cover=True):
            return "video", "cover art, not a moving picture"
        case VideoStream():
            only_sound = request.fmt.kind == "audio" or request.options.video == "none"
            return "video", "only the sound is kept" if only_sound else "another picture was chosen"
        case AudioStream():
            return "audio", _why_silent(request, stream)
        case OtherStream(kind="attachment"):
            return "attachment", "attachments are not kept"
    return "data", "neither picture nor sound"


def _why_silent(request: Request, stream: AudioStream) -> str:
    name = request.fmt.name
    if request.fmt.kind == "image":
        return f"{name} has no sound"
    if request.options.audio == "none":
        return "no sound was asked for"
    if not usable(stream):
        return "its codec is unknown"
    return f"{name} holds one track, and another is the default"


def losses(request: Request, decided: Sequence[Decision], picture: VideoStream | None) -> tuple[Warning_, ...]:
    """What the user loses without having asked for it."""
    found = [warning for decision in decided for warning in decision.warnings]
    if request.fmt.kind != "image" and request.options.audio != "none":
        found += [
            Warning_(code="audio_dropped", message=f"Sound track {stream.index} was dropped: its codec is unknown.")
            for stream in request.info.audio
            if not usable(stream)
        ]
    others = [stream for stream in request.info.pictures if picture is not None and stream is not picture]
    if others:
        message = f"The file has {len(others) + 1} pictures side by side; only one was converted."
        found.append(Warning_(code="video_dropped", message=message))
    return tuple(found)
