"""What the end of a run means: standard error read, failures named, outputs judged."""

import signal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common.errors import ErrorCode, JobFailure
from services.transcoder.diagnose import Expected, Found, failure, looks_short, written
from services.transcoder.loudness import parse_loudness
from services.transcoder.plan.model import Loudness
from services.transcoder.progress import FfmpegProgress
from services.transcoder.result import Result
from services.transcoder.stderr import TAIL_BYTES, StderrTail


@pytest.mark.parametrize(
    ("returncode", "stderr", "code"),
    [
        (1, "[mov @ 0x1] [error] moov atom not found", ErrorCode.TRUNCATED_INPUT),
        (1, "file:input: Invalid data found when processing input", ErrorCode.CORRUPT_INPUT),
        (1, "Error: Cannot allocate memory", ErrorCode.OUT_OF_MEMORY),
        (245, "[error] pthread_create() failed: Resource temporarily unavailable", ErrorCode.OUT_OF_MEMORY),
        (1, "av_interleaved_write_frame(): No space left on device", ErrorCode.DISK_FULL),
        (1, "Error writing trailer: File too large", ErrorCode.TOO_LARGE),
        (1, "[IMGUTILS] Picture size 16000x16000 exceeds specified max pixel count 1", ErrorCode.TOO_LARGE),
        (1, "Unknown decoder 'xyz'", ErrorCode.UNSUPPORTED),
        (1, "something else", ErrorCode.INTERNAL),
        (-signal.SIGKILL, "", ErrorCode.OUT_OF_MEMORY),
        (128 + signal.SIGKILL, "", ErrorCode.OUT_OF_MEMORY),
        (-signal.SIGXFSZ, "", ErrorCode.TOO_LARGE),
        (128 + signal.SIGXCPU, "", ErrorCode.TIMEOUT),
        (-signal.SIGSEGV, "", ErrorCode.INTERNAL),
    ],
)
def test_failures(returncode: int, stderr: str, code: ErrorCode) -> None:
    found = failure(Result(returncode, stderr))

    assert found.code is code
    for secret in ("input:", "0x1", "@", "IMGUTILS"):
        assert secret not in found.message


def test_what_we_ended_ourselves() -> None:
    assert failure(Result(255, stopped="stalled")).code is ErrorCode.STALLED
    assert failure(Result(255, stopped="timeout")).code is ErrorCode.TIMEOUT


def end(seconds: float | None = 10.0, frame: int | None = None, damage: int = 0, *, cut: bool = False) -> Result:
    return Result(0, damage=damage, cut_short=cut, last=FfmpegProgress(out_time_s=seconds, frame=frame))


def codes(result: Result, expected: Expected, found_s: float | None) -> list[str]:
    found = Found(found_s, result.last.frame)
    return [warning.code for warning in written(result, expected, found, size=100)]


def test_a_whole_output() -> None:
    assert codes(end(), Expected(10.0, promised=True, frames=100), 10.0) == []
    assert codes(end(), Expected(10.0, promised=True), 9.9) == []
    assert codes(end(), Expected(None), 3.0) == []
    assert codes(end(), Expected(1.0, promised=True), 20.0) == []


def test_half_an_output_fails_where_the_file_promised_more() -> None:
    with pytest.raises(JobFailure) as failed:
        written(end(5.0), Expected(10.0, promised=True), Found(5.0), size=100)

    assert failed.value.code is ErrorCode.TRUNCATED_INPUT
    assert "Of the 10.0 s of this file only 5.0 s are there" in failed.value.message


def test_half_an_output_is_told_where_nobody_promised() -> None:
    assert codes(end(5.0), Expected(10.0), 5.0) == ["truncated_input"]
    assert codes(end(5.0), Expected(10.0, guessed=True), 5.0) == []
    with pytest.raises(JobFailure):
        written(end(5.0, cut=True), Expected(10.0), Found(5.0), size=100)


def test_a_little_missing_is_told() -> None:
    assert codes(end(9.5), Expected(10.0, promised=True), 9.5) == ["truncated_input"]
    assert codes(end(10.0, cut=True), Expected(10.0, promised=True), 10.0) == ["truncated_input"]


def test_missing_frames_and_damage_are_told() -> None:
    assert codes(end(frame=50), Expected(10.0, frames=100), 10.0) == ["frames_missing"]
    assert codes(end(frame=97, damage=3), Expected(10.0, frames=100), 10.0) == ["damaged_input"]


@pytest.mark.parametrize(("size", "last"), [(0, end()), (10, end(frame=0)), (10, end(0.0))])
def test_an_empty_output_is_a_failure(size: int, last: Result) -> None:
    with pytest.raises(JobFailure) as failed:
        written(last, Expected(10.0), Found(last.last.out_time_s, last.last.frame), size=size)

    assert failed.value.code is ErrorCode.CORRUPT_INPUT


def test_short_accounts_are_looked_into() -> None:
    assert looks_short(Expected(1.0), Found(0.7))
    assert looks_short(Expected(1.0, frames=25), Found(1.0, 1))
    assert not looks_short(Expected(1.0, frames=25), Found(0.9, 24))
    assert looks_short(Expected(None), Found(0.0))
    assert not looks_short(Expected(None), Found(0.1))
    assert not looks_short(Expected(1.0), Found(None))


def test_the_tail_is_bounded_even_without_a_newline() -> None:
    tail = StderrTail()
    for _ in range(64):
        tail.feed(b"x" * 4096)
    tail.feed(b"the end")

    assert len(tail.text()) == TAIL_BYTES
    assert tail.text().endswith("the end")


def test_an_exit_code_of_0_is_not_enough() -> None:
    tail = StderrTail()
    tail.feed(b"[warning] fine so far\n[error] Error writing trailer of file:output.mkv: File too large\n")

    assert tail.not_written
    assert not Result(0, not_written=True).succeeded
    assert not Result(0, stopped="stalled").succeeded
    assert Result(0).succeeded


@given(st.lists(st.binary(max_size=50), max_size=20))
def test_damage_is_counted_however_it_is_cut(chunks: list[bytes]) -> None:
    text = b"[h264] [error] error while decoding MB 3 4\n" * 3 + b"[info] all is well\n"
    whole, pieces = StderrTail(), StderrTail()
    whole.feed(text)
    for number in range(0, len(text), 7):
        pieces.feed(text[number : number + 7])
    for chunk in chunks:
        pieces.feed(chunk)

    assert whole.damage == 3
    assert pieces.damage >= 3


def test_loudness_of_each_track() -> None:
    report = (
        '[info] size=N/A\n[loudnorm@track{0} @ 0x55] [info] \n{{\n\t"input_i" : "{1}",\n\t"input_tp" : "-12.08",\n'
        '\t"input_lra" : "0.10",\n\t"input_thresh" : "-31.78",\n\t"target_offset" : "-0.00"\n}}\n'
    )
    stderr = report.format(1, "-21.78") + report.format(2, "-inf") + report.format(9, "-20.0")

    assert parse_loudness(stderr, (1, 2)) == {1: Loudness("-21.78", "-12.08", "0.10", "-31.78", "-0.00")}
    assert parse_loudness("nothing of the kind", (1,)) == {}
