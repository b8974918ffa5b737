"""Answers what would be done with an upload, without doing it."""

from pathlib import Path
from typing import Any, Final, Protocol

from pydantic import ValidationError

from services.common import topology, tracing
from services.common.bus import Bus, Delivery, PublishError
from services.common.errors import ErrorCode, JobFailure
from services.common.logs import get_logger
from services.common.messages import PlanAnswer, PlanRequest
from services.transcoder.convert import Preview
from services.transcoder.inputs import Inputs, NoRoomError

log = get_logger(__name__)

_AT_A_TIME: Final = 2


class Previewer(Protocol):
    """From a local file to what a conversion of it would do; raises JobFailure."""

    async def preview(self, source: Path, output_format: str, options: dict[str, Any]) -> Preview: ...


class Planner:
    """Takes questions from `video-plans`, beside the jobs and without a share in their slots."""

    def __init__(self, bus: Bus, inputs: Inputs, converter: Previewer) -> None:
        self._bus = bus
        self._inputs = inputs
        self._converter = converter

    async def run(self) -> None:
        """Answer until cancelled."""
        await self._bus.consume(topology.PLANS_QUEUE, self._take, prefetch=_AT_A_TIME)

    def _take(self, delivery: Delivery) -> None:
        self._bus.spawn(self._answer(delivery))

    async def _answer(self, delivery: Delivery) -> None:
        tracing.bind(delivery.origin)
        # Acknowledged first: the asker asks again rather than wait for a second try of ours.
        await delivery.ack()
        if delivery.reply_to is None:
            return
        answer = await self._think(delivery.body)
        try:
            await self._bus.publish("", delivery.reply_to, answer.encode(), message_id=delivery.message_id)
        except PublishError as error:
            log.info("answer_not_wanted", error=repr(error))

    async def _think(self, body: bytes) -> PlanAnswer:
        try:
            request = PlanRequest.model_validate_json(body)
            opened = await self._inputs.open(request.input_path)
            with opened, self._inputs.directory("plan") as directory:
                source = await self._inputs.fetch(opened, directory)
                preview = await self._converter.preview(source, request.output_format, request.options)
        except ValidationError as error:
            log.warning("plan_request_invalid", errors=error.error_count())
            return PlanAnswer(error=JobFailure(ErrorCode.BAD_MESSAGE).error)
        except JobFailure as failure:
            log.info("plan_refused", code=str(failure.code), detail=failure.detail[-2000:])
            return PlanAnswer(error=failure.error)
        except NoRoomError as error:
            log.warning("no_room", detail=str(error))
            return PlanAnswer(error=JobFailure(ErrorCode.DISK_FULL).error)
        except Exception as error:  # a fault of ours is an answer too; the asker waits for one
            log.exception("plan_crashed")
            return PlanAnswer(error=JobFailure(ErrorCode.INTERNAL, detail=repr(error)).error)
        log.info("plan_answered", input_path=request.input_path, output_format=request.output_format)
        return PlanAnswer(
            plan=preview.plan,
            warnings=list(preview.warnings),
            estimated_size=preview.estimate.size,
            estimated_s=preview.estimate.seconds,
        )
