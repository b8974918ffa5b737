"""The frames of a batch, held to what the client library makes of the same message."""

import pamqp.frame
from hypothesis import given
from hypothesis import strategies as st
from pamqp.body import ContentBody
from pamqp.commands import Basic
from pamqp.header import ContentHeader

from services.common.batch import Outgoing, encode, field_table

_WORDS = st.text("abcdefghijklmnopqrstuvwxyz.-_*#0123456789", max_size=200)


@given(
    channel=st.integers(1, 2047),
    exchange=_WORDS.filter(lambda name: len(name) < 128),
    routing_key=_WORDS,
    body=st.binary(min_size=1, max_size=2000),
    number=st.integers(1, 2**40),
    headers=st.dictionaries(
        _WORDS.filter(lambda name: len(name) <= 128), st.text(st.characters(codec="ascii"), max_size=600), max_size=3
    ),
    persistent=st.booleans(),
)
def test_frames_are_as_the_library_makes_them(  # noqa: PLR0917 -- hypothesis names them
    channel: int,
    exchange: str,
    routing_key: str,
    body: bytes,
    number: int,
    headers: dict[str, str],
    *,
    persistent: bool,
) -> None:
    message_id = f"{number:x}"
    headers = dict(sorted(headers.items()))  # as the library does; to the broker it is all the same
    table = field_table(headers) if headers else b""
    properties = Basic.Properties(
        content_type="application/json",
        headers=headers or None,
        delivery_mode=2 if persistent else 1,
        message_id=message_id,
    )
    exchange = exchange.translate(str.maketrans("*#", "__"))
    expected = b"".join(
        pamqp.frame.marshal(frame, channel)
        for frame in (
            Basic.Publish(exchange=exchange, routing_key=routing_key, mandatory=True),
            ContentHeader(properties=properties, body_size=len(body)),
            ContentBody(body),
        )
    )
    assert encode(channel, Outgoing(exchange, routing_key, body, table, persistent), message_id.encode()) == expected
