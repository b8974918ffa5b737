"""Clients in a process of their own, so that what is timed does not wait for them.

usage: python -m bench.push.crowd NUMBER PORT HELLO
"""

import asyncio
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import uvloop

from bench.push.clients import Tally, connect
from bench.push.limits import allow_many_files


@asynccontextmanager
async def crowd(number: int, port: int, hello: str) -> AsyncIterator[None]:
    """`number` clients that say `hello` and take whatever comes."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "bench.push.crowd", str(number), str(port), hello), stdout=asyncio.subprocess.PIPE
    )
    try:
        assert process.stdout is not None
        await process.stdout.readline()
        yield
    finally:
        process.kill()
        await process.wait()


async def main(number: int, port: int, hello: str) -> None:
    await connect(number, port, Tally(b"\n"), hellos=[hello])
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    allow_many_files()
    uvloop.run(main(int(sys.argv[1]), int(sys.argv[2]), sys.argv[3]))
