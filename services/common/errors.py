"""The closed list of reasons for which a job can fail.

A code says three things: what the uploader reads, whether trying again can help, and nothing about how
the system is built inside.  The list is part of the API: codes are only ever added.
"""

from dataclasses import dataclass
from enum import StrEnum

from pydantic import BaseModel, ConfigDict


class ErrorCode(StrEnum):
    """Why a job failed; see `ERRORS` for the sentence and the retry policy of each."""

    NOT_MEDIA = "not_media"
    NO_VIDEO = "no_video"
    NO_AUDIO = "no_audio"
    CORRUPT_INPUT = "corrupt_input"
    TRUNCATED_INPUT = "truncated_input"
    UNSUPPORTED = "unsupported"
    INVALID_OPTIONS = "invalid_options"
    TOO_LARGE = "too_large"
    INPUT_MISSING = "input_missing"
    STALLED = "stalled"
    TIMEOUT = "timeout"
    OUT_OF_MEMORY = "out_of_memory"
    DISK_FULL = "disk_full"
    WORKER_LOST = "worker_lost"
    STORAGE = "storage"
    BAD_MESSAGE = "bad_message"
    INTERNAL = "internal"


@dataclass(frozen=True, slots=True)
class ErrorKind:
    """What is fixed for a code: `message` for the uploader, `transient` if another attempt may succeed."""

    message: str
    transient: bool


ERRORS: dict[ErrorCode, ErrorKind] = {
    ErrorCode.NOT_MEDIA: ErrorKind(
        "This file is not a video or audio file we can read. Check that the right file was uploaded.", transient=False
    ),
    ErrorCode.NO_VIDEO: ErrorKind(
        "This file has no video in it. Choose an audio format such as mp3, or upload a file with video.",
        transient=False,
    ),
    ErrorCode.NO_AUDIO: ErrorKind(
        "This file has no sound in it. Choose a video format, or upload a file with sound.", transient=False
    ),
    ErrorCode.CORRUPT_INPUT: ErrorKind(
        "This file is damaged and could not be converted. Export or download it again, then upload it again.",
        transient=False,
    ),
    ErrorCode.TRUNCATED_INPUT: ErrorKind(
        "The end of this file is missing. It was probably cut off while it was copied; upload the whole file again.",
        transient=False,
    ),
    ErrorCode.UNSUPPORTED: ErrorKind(
        "This kind of video cannot be converted here. Try another output format or convert it to mp4 first.",
        transient=False,
    ),
    ErrorCode.INVALID_OPTIONS: ErrorKind(
        "The chosen options do not fit this file. Change them and submit the job again.", transient=False
    ),
    ErrorCode.TOO_LARGE: ErrorKind("This file is larger than what is accepted. Upload a smaller one.", transient=False),
    ErrorCode.INPUT_MISSING: ErrorKind("The uploaded file is no longer there. Upload it again.", transient=False),
    ErrorCode.STALLED: ErrorKind(
        "The conversion stopped making progress and was ended. Try again; if it happens again, the file is damaged.",
        transient=True,
    ),
    ErrorCode.TIMEOUT: ErrorKind(
        "The conversion took longer than is allowed. Try a smaller size or a shorter piece.", transient=False
    ),
    ErrorCode.OUT_OF_MEMORY: ErrorKind(
        "The conversion needed more memory than is allowed. Try a smaller output size.", transient=True
    ),
    ErrorCode.DISK_FULL: ErrorKind("There was no room left to convert this file. Try again later.", transient=True),
    ErrorCode.WORKER_LOST: ErrorKind(
        "The conversion was interrupted too many times. Try again; if it happens again, the file may be at fault.",
        transient=True,
    ),
    ErrorCode.STORAGE: ErrorKind("The file storage could not be reached. Try again later.", transient=True),
    ErrorCode.BAD_MESSAGE: ErrorKind(
        "The request for this job could not be read. Submit the job again.", transient=False
    ),
    ErrorCode.INTERNAL: ErrorKind("Something went wrong on our side. Try again later.", transient=True),
}


class JobError(BaseModel):
    """The `error` of a job: a code from the closed list, and a sentence that tells the uploader what to do."""

    model_config = ConfigDict(frozen=True)

    code: ErrorCode
    message: str


class JobFailure(Exception):  # noqa: N818 -- an outcome of a job, not a fault of the program
    """Ends a job.  `detail` is for the log only and never reaches a user.

    Args:
        code: the reason, from the closed list.
        message: a better sentence than the code's own, where the case allows one.
        detail: raw text for the operator's log.
    """

    def __init__(self, code: ErrorCode, message: str | None = None, *, detail: str = "") -> None:
        super().__init__(code)
        self.code = code
        self.message = message or ERRORS[code].message
        self.detail = detail

    @property
    def transient(self) -> bool:
        """True if another attempt may succeed."""
        return ERRORS[self.code].transient

    @property
    def error(self) -> JobError:
        """The failure as the job shows it."""
        return JobError(code=self.code, message=self.message)
