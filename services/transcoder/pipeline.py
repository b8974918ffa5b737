"""One run of one job, readable in order: download, convert, upload, keep the outcome."""

from collections.abc import Callable
from pathlib import Path
from time import perf_counter
from typing import Any, Final, Protocol

from pydantic import ValidationError

from services.common import keys, metrics, telemetry
from services.common.errors import ErrorCode, JobFailure
from services.common.jobs import Output, Plan, Progress, Stage, Warning_, now
from services.common.logs import get_logger
from services.common.messages import Completed, WorkMessage
from services.common.storage import Download, Storage, StorageError
from services.transcoder.inputs import Inputs

log = get_logger(__name__)

THUMBNAIL: Final = "thumbnail"

OnProgress = Callable[[Stage, Progress], None]


class LocalOutput(Protocol):
    """A file that a conversion made.  The main output has the kind of its format, the others say what they are."""

    @property
    def path(self) -> Path: ...
    @property
    def kind(self) -> str: ...
    @property
    def content_type(self) -> str: ...


class Conversion(Protocol):
    """What a conversion made, main output first."""

    @property
    def outputs(self) -> tuple[LocalOutput, ...]: ...
    @property
    def plan(self) -> Plan: ...
    @property
    def warnings(self) -> tuple[Warning_, ...]: ...


class Converter(Protocol):
    """From a local file to local files; raises JobFailure."""

    async def __call__(
        self, source: Path, workdir: Path, output_format: str, options: dict[str, Any], on_progress: OnProgress
    ) -> Conversion: ...


class Pipeline:
    """Runs jobs.  Holds no state of any of them."""

    def __init__(self, storage: Storage, inputs: Inputs, convert: Converter) -> None:
        self._storage = storage
        self._inputs = inputs
        self._convert = convert

    async def open(self, work: WorkMessage) -> Download:
        """Begin to fetch the job's input; raises as `Inputs.open` does."""
        return await self._inputs.open(work.input_path)

    async def run(self, work: WorkMessage, opened: Download, attempt: int, on_progress: OnProgress) -> Completed:
        """Do the job, and return its outcome, already kept in the store for redeliveries.

        Args:
            work: the job.
            opened: its input.
            attempt: the attempt that this is.
            on_progress: told of each step.

        Raises:
            JobFailure: it can't be done, now (`transient`) or ever.
        """
        try:
            with self._inputs.directory(work.job_id) as directory:
                on_progress(Stage.DOWNLOADING, Progress())
                with _timed(Stage.DOWNLOADING), telemetry.span(Stage.DOWNLOADING):
                    source = await self._inputs.fetch(opened, directory)
                with _timed(Stage.TRANSCODING):
                    made = await self._convert(source, directory, work.output_format, work.options, on_progress)
                on_progress(Stage.UPLOADING, Progress(percent=99.9))
                try:
                    outcome = await self._upload(work, attempt, made)
                except BaseException:
                    # Whatever ends a run here, a cancel too: what nobody will be told of must not be left.
                    await self._remove_outputs(work)
                    raise
        except StorageError as error:
            raise JobFailure(ErrorCode.STORAGE, detail=repr(error)) from error
        return outcome

    async def kept_outcome(self, work: WorkMessage) -> Completed | None:
        """The outcome of this attempt or a later one, if some transcoder has finished it already.

        Raises:
            JobFailure: the store could not be asked.
        """
        try:
            body = await self._storage.get(keys.outcome_key(work.job_id))
        except StorageError as error:
            raise JobFailure(ErrorCode.STORAGE, detail=repr(error)) from error
        if body is None:
            return None
        try:
            outcome = Completed.model_validate_json(body)
        except ValidationError as error:
            log.warning("outcome_unreadable", errors=error.error_count())
            return None
        return outcome if outcome.attempt >= work.attempt else None

    async def _remove_outputs(self, work: WorkMessage) -> None:
        try:
            await self._storage.remove(work.output_path, thumbnail_key(work), keys.outcome_key(work.job_id))
        except StorageError as error:
            # The gateway removes them again when the job is deleted.
            log.warning("outputs_not_removed", error=repr(error))

    async def _upload(self, work: WorkMessage, attempt: int, made: Conversion) -> Completed:
        with _timed(Stage.UPLOADING), telemetry.span(Stage.UPLOADING):
            # One after the other: where one fails, no other may still be on its way while they are removed.
            outputs = [await self._put(work, file) for file in made.outputs]
        moment = now()
        outcome = Completed(
            job_id=work.job_id,
            tenant=work.tenant,
            attempt=attempt,
            seq=work.seq,
            time=moment,
            output_path=work.output_path,
            outputs=outputs,
            warnings=list(made.warnings),
            plan=made.plan,
            finished_at=moment,
        )
        await self._storage.put(keys.outcome_key(work.job_id), outcome.encode(), "application/json")
        return outcome

    async def _put(self, work: WorkMessage, file: LocalOutput) -> Output:
        key = thumbnail_key(work) if file.kind == THUMBNAIL else work.output_path
        size = await self._storage.upload(file.path, key, file.content_type)
        metrics.BYTES_OUT.add({}, size)
        return Output(kind=file.kind, path=key, size=size, content_type=file.content_type)


def thumbnail_key(work: WorkMessage) -> str:
    """Where the thumbnail of a job's output goes: beside the output."""
    stem, _, _ = work.output_path.rpartition(".")
    return f"{stem or work.output_path}.thumb.jpg"


class _timed:  # noqa: N801 -- reads as a verb where it is used
    def __init__(self, stage: Stage) -> None:
        self._stage = stage

    def __enter__(self) -> None:
        self._begun = perf_counter()

    def __exit__(self, *_: object) -> None:
        metrics.STAGE_SECONDS.observe({"stage": str(self._stage)}, perf_counter() - self._begun)
