"""The events that are pushed: progress of ten jobs, as the transcoders publish it."""

from services.common.jobs import Progress, Stage, now
from services.common.messages import Progressed

JOBS = [f"550e8400-e29b-41d4-a716-4466554400{number:02d}" for number in range(10)]


def body(number: int) -> bytes:
    """Event `number` of a run, each job's turn coming every tenth time."""
    return Progressed(
        job_id=JOBS[number % len(JOBS)],
        seq=number + 1,
        time=now(),
        stage=Stage.TRANSCODING,
        progress=Progress(percent=min(99.0, number / 100), fps=55.2, speed=1.93, eta_s=31.0),
    ).encode()


def message(number: int) -> str:
    """The same as a peer sends it, with a cursor as ours carry one: the payload is as large for everybody."""
    return body(number)[:-1].decode() + f',"cursor":"{number:x}-5a5a5a5a"}}'
