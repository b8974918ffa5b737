"""From deliveries to runs: who runs a job, how often, and when its message is settled.

A message is acknowledged only after the broker has confirmed what follows from it: the outcome, the next attempt,
or a copy given back.  A crash anywhere before that brings the message again.
"""

import asyncio
import contextlib
from typing import Final

import structlog
from pydantic import ValidationError

from services.common import metrics, telemetry, topology, tracing
from services.common.bus import Bus, Delivery, PublishError
from services.common.errors import ERRORS, ErrorCode, JobError, JobFailure
from services.common.jobs import Progress, Stage, now
from services.common.logs import get_logger
from services.common.messages import CancelMessage, Completed, WorkMessage
from services.transcoder.beat import Beat
from services.transcoder.cancellations import Cancellations
from services.transcoder.inputs import NoRoomError
from services.transcoder.intake import Intake
from services.transcoder.lease import Lease, LeaseHeldError, hold
from services.transcoder.pipeline import Pipeline
from services.transcoder.places import Place
from services.transcoder.reporter import Reporter
from services.transcoder.run import Abort, Run, Settlement, nearly_done, next_attempt, original
from services.transcoder.settings import TranscoderSettings

log = get_logger(__name__)

_PUBLISH_PAUSE_S: Final = 0.5
# A transcoder without room keeps the slot of what it can't take for so long, that others get the rest.
_NO_ROOM_PAUSE_S: Final = 5.0
_MOST_PARKED: Final = 24


class Worker:
    """Takes work messages and runs them, at most `worker_concurrency` at a time.

    The one that follows a job which is nearly done is taken ahead, so that its input is here when ffmpeg is free.
    """

    def __init__(self, bus: Bus, pipeline: Pipeline, settings: TranscoderSettings) -> None:
        self._bus = bus
        self._pipeline = pipeline
        self._settings = settings
        self._runs: dict[str, Run] = {}
        self._tasks: set[asyncio.Task[None]] = set()
        self._draining = asyncio.Event()
        self._hands = asyncio.Semaphore(settings.worker_concurrency)
        self._intake = Intake(bus, topology.JOBS_QUEUE, self._take)
        self.cancellations = Cancellations(bus, self._on_cancel)
        self.beat = Beat(bus, settings.progress_interval)

    @property
    def busy(self) -> int:
        """Jobs in work."""
        return len(self._runs)

    async def run(self) -> None:
        """Take work until cancelled; runs in progress go on (see `drain`)."""
        await self.cancellations.wait_synced()
        while True:
            await self._hands.acquire()
            # A transcoder with nothing to do comes first.
            await self._intake.take(priority=-1 if len(self._tasks) >= self._settings.worker_concurrency else 0)

    async def drain(self, hurried: asyncio.Event) -> None:
        """After `run` has ended: let runs finish within `drain_timeout`, then give the rest back."""
        self._draining.set()
        pending = set(self._tasks)
        if pending:
            log.info("draining", jobs=len(pending))
            hurry = asyncio.create_task(hurried.wait())
            everything = asyncio.ensure_future(asyncio.wait(pending))
            await asyncio.wait(
                {hurry, everything}, timeout=self._settings.drain_timeout, return_when=asyncio.FIRST_COMPLETED
            )
            hurry.cancel()
            everything.cancel()
        for run in list(self._runs.values()):
            run.stop(Abort.SHUTDOWN)
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    def _take(self, delivery: Delivery) -> None:
        hand = Place(self._hands)
        task = asyncio.get_running_loop().create_task(self._receive(delivery, hand))
        self._tasks.add(task)
        task.add_done_callback(lambda task: self._done(task, hand))

    def _done(self, task: asyncio.Task[None], hand: Place) -> None:
        hand.free()
        self._tasks.discard(task)
        metrics.WORKERS_BUSY.set({}, len(self._runs))
        if not task.cancelled() and task.exception() is not None:
            # The message is not settled, so it comes again with the next connection; nothing is lost.
            log.error("delivery_failed", exc_info=task.exception())

    def _on_cancel(self, message: CancelMessage) -> None:
        run = self._runs.get(message.job_id)
        if run is not None and run.work.attempt <= message.attempt:
            log.info("run_stopped", job_id=message.job_id, attempt=run.work.attempt, reason=message.reason)
            run.stop(Abort.SUPERSEDED if message.reason == "superseded" else Abort.CANCELLED)

    async def _receive(self, delivery: Delivery, hand: Place) -> None:
        tracing.bind(delivery.origin)  # all that is logged and sent from here on, by this task and those it starts
        try:
            work = WorkMessage.model_validate_json(delivery.body)
        except ValidationError as error:
            log.warning("message_invalid", errors=error.errors(include_input=False, include_url=False))
            metrics.DEAD_LETTERS.inc({"code": ErrorCode.BAD_MESSAGE})
            await delivery.reject()
            return
        await self._outlast(work)
        if self._draining.is_set():
            # Came before the broker knew that we take no more; a copy goes back, as a return would be counted.
            await self._publish_surely(None, work)
            await delivery.ack()
            return
        if delivery.delivery_count:
            metrics.REDELIVERIES.inc({})
        known = self._runs.get(work.job_id)
        if known is not None:
            # Delivered again while we are at it: the broker lost our first claim, or has two copies.
            log.info("delivery_adopted", job_id=work.job_id)
            known.deliveries.append(delivery)
            return
        deliveries = work.deliveries + delivery.delivery_count
        first = deliveries == 0 and work.percent_floor is None
        # A redelivery means that the last receiver is gone, and its attempt with it.
        work = work.model_copy(update={"attempt": work.attempt + deliveries, "deliveries": deliveries})
        task = asyncio.current_task()
        assert task is not None
        run = self._runs[work.job_id] = Run(work, delivery, task, hand)
        metrics.WORKERS_BUSY.set({}, len(self._runs))
        about: dict[str, str | int] = {"job_id": work.job_id, "attempt": work.attempt, "tenant": work.tenant}
        with (
            structlog.contextvars.bound_contextvars(**about),
            telemetry.span("process video-jobs", "consumer", **about),
        ):
            try:
                settlement = await self._decide(run, self._reporter(work, first=first))
            finally:
                # From here on a further delivery is a run of its own, which finds the outcome of this one.
                del self._runs[work.job_id]
            await run.settle(settlement)

    async def _outlast(self, work: WorkMessage) -> None:
        """Wait for a run of an attempt before this one to be gone.

        Whoever tries again right after a cancel is here before ffmpeg has ended.  The message is not another copy
        of that run's, and must not be settled with it.
        """
        while (known := self._runs.get(work.job_id)) is not None and known.work.attempt < work.attempt:
            known.stop(Abort.SUPERSEDED)
            await asyncio.wait({known.task})

    async def _decide(self, run: Run, reporter: Reporter) -> Settlement:
        """Run the job, unless there is a reason not to."""
        work = run.work
        cancelled = self.cancellations.find(work.job_id, work.attempt)
        if cancelled is not None:
            log.info("job_cancelled_before", reason=cancelled.reason)
            run.seal()
            if cancelled.reason != "superseded":
                await reporter.cancelled()
            return Settlement.DONE
        if work.deliveries > self._settings.max_retries:
            # A message that came back this often probably kills those who take it.
            log.error("job_given_up", deliveries=work.deliveries)
            metrics.DEAD_LETTERS.inc({"code": ErrorCode.WORKER_LOST})
            run.seal()
            await reporter.failed(_error(ErrorCode.WORKER_LOST))
            return Settlement.DEAD
        try:
            async with hold(self._bus, work.job_id) as lease:
                await self._run(run, reporter, lease)
        except LeaseHeldError:
            log.info("job_parked")
            run.seal()
            await self._publish_surely(topology.retry_queue(topology.RETRY_DELAYS_S[0]), original(work))
        except PublishError as error:
            # The lease could not be asked for.  If the connection is gone, the message is the broker's already.
            log.warning("job_not_begun", error=repr(error))
            return Settlement.AGAIN
        return Settlement.DONE

    async def _run(self, run: Run, reporter: Reporter, lease: Lease) -> None:
        """Run the job under its lease and tell how it ended."""
        watcher = asyncio.create_task(_stop_when_lost(run, lease), name="lease watcher")
        try:
            outcome = await self._outcome(run, reporter)
        except JobFailure as failure:
            run.seal()
            await self._on_failure(run.work, reporter, failure)
        except NoRoomError as error:
            run.seal()
            await self._on_no_room(run.work, reporter, error)
        except asyncio.CancelledError:
            if run.abort is None:
                raise  # not by us; the message stays unsettled and comes again
            run.seal()
            await self._on_abort(run.work, reporter, run.abort)
        except Exception as error:  # a fault of ours must end this job's attempt, not the transcoder's others
            log.exception("run_crashed")
            run.seal()
            await self._on_failure(run.work, reporter, JobFailure(ErrorCode.INTERNAL, detail=repr(error)))
        else:
            run.seal()
            await reporter.completed(outcome)
            log.info("job_completed")
        finally:
            watcher.cancel()

    async def _outcome(self, run: Run, reporter: Reporter) -> Completed:
        work = run.work
        kept = await self._pipeline.kept_outcome(original(work))
        if kept is not None:
            log.info("job_done_before")
            return kept.model_copy(update={"attempt": work.attempt})
        try:
            opened = await self._pipeline.open(work)
        except JobFailure:
            # Who has never heard of the job learns what it was about before it fails.
            async with reporter.reporting():
                raise

        def on_progress(stage: Stage, progress: Progress) -> None:
            reporter.progress(stage, progress)
            if nearly_done(stage, progress):
                run.hand.free()

        log.info("job_started", input_path=work.input_path, output_format=work.output_format)
        lost = _error(ErrorCode.WORKER_LOST) if work.deliveries else None
        with opened:
            async with reporter.reporting(after=lost):
                return await self._pipeline.run(work, opened, work.attempt, on_progress)

    async def _on_failure(self, work: WorkMessage, reporter: Reporter, failure: JobFailure) -> None:
        log.warning("job_failed", code=str(failure.code), detail=failure.detail[-2000:])
        telemetry.fail(str(failure.code))
        used = work.retries + work.deliveries
        if not failure.transient or used >= self._settings.max_retries:
            await reporter.failed(failure.error)
            return
        delay_s = topology.retry_delay(used + 1)
        metrics.RETRIES.inc({"code": failure.code})
        again = next_attempt(work, retries=used + 1, seq=reporter.seq)
        log.info("job_retried", next_attempt=again.attempt, delay_s=delay_s)
        announcer = self._reporter(again, first=True)
        await announcer.retrying(failure.error, delay_s=float(delay_s))
        await self._publish_surely(topology.retry_queue(delay_s), again.model_copy(update={"seq": announcer.seq}))

    async def _on_no_room(self, work: WorkMessage, reporter: Reporter, error: NoRoomError) -> None:
        log.warning("no_room", detail=str(error), parked=work.parked)
        if work.parked >= _MOST_PARKED:
            await self._on_failure(work, reporter, JobFailure(ErrorCode.DISK_FULL, detail=str(error)))
            return
        parked = original(work).model_copy(update={"parked": work.parked + 1})
        await self._publish_surely(topology.retry_queue(topology.RETRY_DELAYS_S[0]), parked)
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(_NO_ROOM_PAUSE_S):
                await self._draining.wait()

    async def _on_abort(self, work: WorkMessage, reporter: Reporter, reason: Abort) -> None:
        log.info("job_aborted", reason=reason.value)
        if reason is Abort.CANCELLED:
            await reporter.cancelled()
        elif reason is Abort.SHUTDOWN:
            given_back = {"percent_floor": reporter.percent, "seq": reporter.seq, "queued_at": now()}
            await self._publish_surely(None, original(work).model_copy(update=given_back))

    def _reporter(self, work: WorkMessage, *, first: bool) -> Reporter:
        return Reporter(self._bus, self.beat, work, attempt=work.attempt, first=first)

    async def _publish_surely(self, queue: str | None, work: WorkMessage) -> None:
        """Put `work` into `queue`, or to the end of the work queue, however long the broker is away."""
        exchange, key = ("", queue) if queue else (topology.JOBS, topology.requested(work.output_format))
        while True:
            try:
                await self._bus.publish(exchange, key, work.encode())
            except PublishError as error:
                log.warning("work_not_published", error=repr(error))
                await asyncio.sleep(_PUBLISH_PAUSE_S)
                await self._bus.wait_connected()
            else:
                return


def _error(code: ErrorCode) -> JobError:
    return JobError(code=code, message=ERRORS[code].message)


async def _stop_when_lost(run: Run, lease: Lease) -> None:
    await lease.lost.wait()
    run.stop(Abort.SUPERSEDED)
