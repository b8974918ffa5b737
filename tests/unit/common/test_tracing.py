"""W3C Trace Context: what is understood, what is passed on, and what is not."""

from string import hexdigits

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.common import tracing
from services.common.tracing import Context, Trace, from_headers, parse_traceparent, parse_tracestate

TRACE_ID = "0af7651916cd43dd8448eb211c80319c"
SPAN_ID = "b7ad6b7169203331"
GIVEN = f"00-{TRACE_ID}-{SPAN_ID}-01"

_HEX = "0123456789abcdef"


def _ids(length: int) -> st.SearchStrategy[str]:
    return st.text(_HEX, min_size=length, max_size=length).filter(lambda text: set(text) != {"0"})


@given(trace_id=_ids(32), span_id=_ids(16), flags=st.integers(0, 255))
def test_what_was_written_is_read_again(trace_id: str, span_id: str, flags: int) -> None:
    found = parse_traceparent(Trace(trace_id, span_id, flags).traceparent)
    assert found == Trace(trace_id, span_id, flags & 0x03)


@given(st.text(max_size=80) | st.from_regex(r"[0-9a-fA-F]{1,3}-[0-9a-f]{30,33}-[0-9a-f]{15,17}-[0-9a-f]{1,3}.{0,4}"))
def test_whatever_comes_is_a_whole_place_or_nothing(text: str) -> None:
    found = parse_traceparent(text)
    if found is not None:
        assert (len(found.trace_id), len(found.span_id)) == (32, 16)
        assert set(found.trace_id + found.span_id) <= set(_HEX)
        assert int(found.trace_id, 16)
        assert int(found.span_id, 16)


@pytest.mark.parametrize(
    "text",
    [
        "",
        GIVEN[:-1],
        GIVEN + "0",
        GIVEN + "-more",  # version 00 has no more
        GIVEN + "\n",
        " " + GIVEN,
        GIVEN.upper(),
        GIVEN.replace("-", "_"),
        f"00-{'0' * 32}-{SPAN_ID}-01",
        f"00-{TRACE_ID}-{'0' * 16}-01",
        f"ff-{TRACE_ID}-{SPAN_ID}-01",
        f"0-{TRACE_ID}-{SPAN_ID}-01",
        f"0g-{TRACE_ID}-{SPAN_ID}-01",
        f"cc-{TRACE_ID}-{SPAN_ID}-01.more",
        f"00-{TRACE_ID}-{SPAN_ID}-1",
        f"00-{TRACE_ID[:-1]}é-{SPAN_ID}-01",
    ],
)
def test_what_breaks_the_rules_is_nothing(text: str) -> None:
    assert parse_traceparent(text) is None


@pytest.mark.parametrize("text", [f"01-{TRACE_ID}-{SPAN_ID}-01", f"cc-{TRACE_ID}-{SPAN_ID}-01-what-the-future-holds"])
def test_of_a_later_version_the_known_part_is_taken(text: str) -> None:
    found = parse_traceparent(text)
    assert found is not None
    assert found.traceparent == GIVEN


def test_flags_without_a_meaning_are_not_passed_on() -> None:
    found = parse_traceparent(f"00-{TRACE_ID}-{SPAN_ID}-ff")
    assert found is not None
    assert found.traceparent.endswith("-03")


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("rojo=00f067aa0ba902b7", "rojo=00f067aa0ba902b7"),
        ("a=1 , , \tb@c=2", "a=1,b@c=2"),
        ("no-value", ""),
        ("A=1", ""),
        ("a=1,b=\u00e9", ""),
        (",".join(f"k{number}=v" for number in range(33)), ""),
        ("", ""),
    ],
)
def test_a_state_is_passed_on_if_it_is_one(text: str, expected: str) -> None:
    assert parse_tracestate(text) == expected


def test_of_a_state_that_is_too_long_the_long_and_the_old_go_first() -> None:
    short = [f"s{number:02}={'x' * 60}" for number in range(9)]
    kept = parse_tracestate(",".join([f"long={'y' * 200}", *short]))
    assert kept.split(",") == short[: len(kept.split(","))]
    assert 512 - 65 < len(kept) <= 512


@given(st.lists(st.from_regex(r"\A[a-z][a-z0-9]{0,9}=[!-+\--<>-~]{1,250}\Z"), max_size=32))
def test_a_state_stays_within_bounds_and_adds_nothing(members: list[str]) -> None:
    kept = parse_tracestate(",".join(members))
    assert len(kept) <= 512
    assert set(kept.split(",")) <= {*members, ""}


def test_a_context_carries_on_what_it_was_given() -> None:
    headers = {"traceparent": GIVEN, "tracestate": "rojo=1", "x-request-id": "req-1"}
    context = from_headers({**headers, "x-delivery-count": 2})
    assert context.headers() == headers
    assert tracing.decode(context.encode()).headers() == headers
    assert context.ids() == {"trace_id": TRACE_ID, "request_id": "req-1"}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"traceparent": "nonsense", "tracestate": "a=1"},
        {"tracestate": "a=1"},
        {"traceparent": b"x", "x-request-id": 7},
    ],
)
def test_without_a_trace_that_can_be_read_one_begins_and_stays(headers: dict[str, object]) -> None:
    context = from_headers(headers)
    assert context.parent is None
    begun = context.trace
    assert parse_traceparent(begun.traceparent) == begun
    assert context.trace == context.parent == begun
    assert set(context.headers()) == {"traceparent"}
    assert from_headers(headers).trace.trace_id != begun.trace_id


@pytest.mark.parametrize("text", ["", "a b", "a\n", "x" * 65, 'x", "admin": "1', None])
def test_an_id_of_a_request_is_one_plain_word(text: str | None) -> None:
    assert tracing.parse_request_id(text) is None


def test_the_present_context_ends_with_its_block() -> None:
    assert (tracing.current(), tracing.headers(), tracing.encoded()) == (None, {}, None)
    with tracing.bound(Context("req-1", GIVEN)):
        assert tracing.headers()["traceparent"] == GIVEN
        with tracing.bound(Context("req-2", GIVEN)):
            assert tracing.headers()["x-request-id"] == "req-2"
        assert tracing.headers()["x-request-id"] == "req-1"
    assert tracing.current() is None


def test_a_child_is_of_the_same_trace() -> None:
    child = Trace(TRACE_ID, SPAN_ID, state="a=1").child("00f067aa0ba902b7")
    assert child == Trace(TRACE_ID, "00f067aa0ba902b7", state="a=1")
    assert set(child.span_id) <= set(hexdigits)
