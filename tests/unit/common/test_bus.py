"""The connection to the broker is made again, whatever becomes of it while it is being made."""

import asyncio
import socket
from typing import Any

import aio_pika
import pytest

from services.common.bus import Bus


async def test_who_hangs_up_at_once_as_the_proxy_of_an_absent_broker_does_is_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    third = asyncio.Event()
    visits = 0

    async def connect(*_: object, **__: object) -> None:
        nonlocal visits
        visits += 1
        if visits == 3:
            third.set()
        # As aiormq does, if the end comes before the first word, or in the middle of a call.
        raise StopAsyncIteration if visits % 2 else Exception

    monkeypatch.setattr(aio_pika, "connect", connect)
    running = asyncio.create_task(Bus("amqp://nobody:secret@127.0.0.1:1/", name="test").run())
    waiting = asyncio.create_task(third.wait())
    done, _ = await asyncio.wait({running, waiting}, timeout=60, return_when=asyncio.FIRST_COMPLETED)
    running.cancel()
    waiting.cancel()
    await asyncio.gather(running, waiting, return_exceptions=True)
    assert done == {waiting}


async def test_a_connection_that_could_not_be_opened_is_closed_and_not_left_to_the_garbage_collector(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    third = asyncio.Event()
    made: list[aio_pika.Connection] = []
    make = aio_pika.Connection.__init__

    def note(connection: aio_pika.Connection, *args: Any, **kwargs: Any) -> None:
        make(connection, *args, **kwargs)
        made.append(connection)
        if len(made) == 3:
            third.set()

    monkeypatch.setattr(aio_pika.Connection, "__init__", note)
    with socket.socket() as nobody:
        nobody.bind(("127.0.0.1", 0))  # and does not listen
        bus = Bus(f"amqp://nobody:secret@127.0.0.1:{nobody.getsockname()[1]}/", name="test")
        running = asyncio.create_task(bus.run())
        async with asyncio.timeout(60):
            await third.wait()
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)
    assert [connection.is_closed for connection in made] == [True] * 3
