"""Servers that send events to everybody who is connected: ours, and what others would be written with.

usage: python -m bench.push.servers KIND PORT EVENTS EVENTS_A_WINDOW

On SIGUSR1 a server sends EVENTS events; after each window's worth it lets one window pass, so every server has the
same work at the same pace.  The peers send an event as soon as they have it, as their documentation shows.
"""

# ruff: noqa: PLC0415 -- each server imports no more than it serves with

import asyncio
import signal
import sys
from collections.abc import Awaitable, Callable
from types import SimpleNamespace

from bench.push.events import body, message
from bench.push.limits import allow_many_files

WINDOW_S = 0.03

Send = Callable[[str], Awaitable[None]]


async def serve_ours(port):
    """Our notifier without a broker: events are handed to where the stream's consumer hands them."""
    from aiohttp import web

    from services.notifier.app import PushApp, make_app
    from services.notifier.driver import Driver
    from services.notifier.hub import Hub
    from services.notifier.settings import NotifierSettings

    settings = NotifierSettings(flush_window=WINDOW_S)
    driver = Driver(Hub(settings.hub))
    feed = SimpleNamespace(caught_up=asyncio.Event())
    feed.caught_up.set()
    app = make_app(PushApp(settings, driver, feed), SimpleNamespace(connected=True), feed, settings)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()
    offset = -1

    async def send(number):
        nonlocal offset
        offset += 1
        driver.feed(offset, body(number))

    return send


async def serve_aiohttp(port):
    """A WebSocket handler as in aiohttp's documentation, one `send_str` a client."""
    from aiohttp import web

    clients = set()

    async def handler(request):
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        clients.add(socket)
        try:
            async for _ in socket:
                pass
        finally:
            clients.discard(socket)
        return socket

    app = web.Application()
    app.router.add_get("/ws", handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()

    async def send(number):
        text = message(number)
        for socket in list(clients):
            await socket.send_str(text)

    return send


async def serve_websockets(port):
    """The websockets library with its own `broadcast`."""
    from websockets.asyncio.server import broadcast, serve

    clients = set()

    async def handler(socket):
        clients.add(socket)
        try:
            await socket.wait_closed()
        finally:
            clients.discard(socket)

    await serve(handler, "127.0.0.1", port, compression=None, ping_interval=None, backlog=4096)

    async def send(number):
        broadcast(clients, message(number))
        await asyncio.sleep(0)

    return send


async def serve_socketio(port):
    """Socket.IO, emitting to everybody."""
    import socketio
    from aiohttp import web

    server = socketio.AsyncServer(async_mode="aiohttp", ping_interval=300, http_compression=False)
    app = web.Application()
    server.attach(app)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", port, backlog=4096).start()

    async def send(number):
        await server.emit("event", message(number))

    return send


SERVERS = {
    "ours": serve_ours,
    "aiohttp": serve_aiohttp,
    "websockets": serve_websockets,
    "socketio": serve_socketio,
}


async def main(kind: str, port: int, events: int, per_window: int) -> None:
    send = await SERVERS[kind](port)
    running = set()

    async def run():
        for number in range(events):
            await send(number)
            if (number + 1) % per_window == 0:
                await asyncio.sleep(WINDOW_S)

    def go():
        task = asyncio.create_task(run())
        running.add(task)
        task.add_done_callback(running.discard)

    asyncio.get_running_loop().add_signal_handler(signal.SIGUSR1, go)
    print("ready", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    import uvloop

    allow_many_files()
    uvloop.run(main(sys.argv[1], *(int(argument) for argument in sys.argv[2:5])))
