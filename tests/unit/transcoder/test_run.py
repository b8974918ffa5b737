"""What a run lets go of, and when."""

import asyncio

import pytest

from services.common.jobs import Progress, Stage
from services.transcoder.places import Place
from services.transcoder.run import nearly_done


@pytest.mark.parametrize(
    ("stage", "eta_s", "expected"),
    [
        (Stage.DOWNLOADING, None, False),
        (Stage.PROBING, None, False),
        (Stage.TRANSCODING, None, False),
        (Stage.TRANSCODING, 60.0, False),
        (Stage.TRANSCODING, 1.5, True),
        (Stage.TRANSCODING, 0.0, True),
        (Stage.UPLOADING, None, True),
    ],
)
def test_the_next_message_is_taken_when_the_end_is_near(stage: Stage, eta_s: float | None, expected: bool):
    assert nearly_done(stage, Progress(eta_s=eta_s)) is expected


async def test_a_place_is_freed_once():
    hands = asyncio.Semaphore(1)
    await hands.acquire()
    hand = Place(hands)
    hand.free()
    hand.free()
    await hands.acquire()
    assert hands.locked()
