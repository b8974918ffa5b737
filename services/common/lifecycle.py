"""The life of a service's process: one task group, signals, an ordered drain, a hard deadline."""

import asyncio
import os
import signal
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, AsyncExitStack
from typing import Final, TypeVar

import anyio
from anyio.abc import TaskGroup, TaskStatus

from services.common.logs import get_logger

log = get_logger(__name__)

T = TypeVar("T")
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Stop:
    """What the operator wants.  `requested` at the first signal, `hurried` at the second."""

    def __init__(self) -> None:
        self.requested = asyncio.Event()
        self.hurried = asyncio.Event()

    def signalled(self, name: str) -> None:
        """Take note of a signal."""
        if self.requested.is_set():
            log.warning("stop_hurried", signal=name)
            self.hurried.set()
        else:
            log.info("stop_requested", signal=name)
            self.requested.set()


class Service:
    """Long-running parts, each a `run()` under one task group, stopped last to first.

    A part that ends by itself, or raises, ends the service: none is ever silently missing.
    """

    def __init__(self, tasks: TaskGroup, resources: AsyncExitStack) -> None:
        self._tasks = tasks
        self._resources = resources
        self._running: list[tuple[str, anyio.CancelScope, asyncio.Event]] = []

    def start(self, name: str, run: Callable[[], Awaitable[None]]) -> None:
        """Start a part.  Parts started later may use earlier ones, and are stopped before them."""
        scope, ended = anyio.CancelScope(), asyncio.Event()
        self._running.append((name, scope, ended))

        async def supervise() -> None:
            try:
                with scope:
                    await run()
                if not scope.cancel_called:
                    raise RuntimeError(f"{name} ended by itself")
            except asyncio.CancelledError:
                # Libraries let go of futures by cancelling them; a task group takes that for the wish of its owner.
                task = asyncio.current_task()
                if task is not None and not task.cancelling():
                    raise RuntimeError(f"{name} was cancelled by nobody") from None
                raise
            finally:
                ended.set()

        self._tasks.start_soon(supervise, name=name)

    async def enter(self, resource: AbstractAsyncContextManager[T]) -> T:
        """Open a resource that all parts may use; it is closed after the last of them has stopped."""
        return await self._resources.enter_async_context(resource)

    async def stop(self, name: str) -> None:
        """Stop the part called `name` and wait until it has cleaned up."""
        for entry in self._running:
            if entry[0] == name:
                entry[1].cancel()
                await entry[2].wait()

    async def stop_all(self) -> None:
        """Stop every part, the last started first, each after the one before has cleaned up."""
        for name, scope, ended in reversed(self._running):
            scope.cancel()
            await ended.wait()
            log.debug("stopped", part=name)


async def _watch_signals(stop: Stop, *, task_status: TaskStatus[None]) -> None:
    with anyio.open_signal_receiver(*_SIGNALS) as signals:
        task_status.started()
        async for number in signals:
            stop.signalled(signal.Signals(number).name)


async def _enforce_deadline(stop: Stop, deadline_s: float) -> None:
    await stop.requested.wait()
    await asyncio.sleep(deadline_s)
    # Something did not let itself be cancelled.  Whatever is unconfirmed comes again after the restart.
    log.error("stop_overdue", deadline_s=deadline_s)
    os._exit(1)


async def _main(start: Callable[[Service, Stop], Awaitable[None]], deadline_s: float) -> None:
    stop = Stop()
    async with anyio.create_task_group() as background:
        await background.start(lambda *, task_status: _watch_signals(stop, task_status=task_status))
        background.start_soon(_enforce_deadline, stop, deadline_s)
        async with AsyncExitStack() as resources, anyio.create_task_group() as tasks:
            service = Service(tasks, resources)
            await start(service, stop)
            await stop.requested.wait()
            await service.stop_all()
        background.cancel_scope.cancel()


def run_service(
    start: Callable[[Service, Stop], Awaitable[None]], *, deadline_s: float, runs_programs: bool = False
) -> None:
    """Run a service until SIGTERM or SIGINT.

    Args:
        start: starts the parts; may wait for `stop.requested` itself and drain before it returns.
        deadline_s: seconds after the first signal at which the process is ended whatever it does.
        runs_programs: True if it runs other programs, which asyncio's own loop starts by vfork.  uvloop forks, which
            takes three times as long and leaves every page to be copied when it is next written to.
    """
    with asyncio.Runner(loop_factory=None if runs_programs else _uvloop()) as runner:
        runner.run(_main(start, deadline_s))
    log.info("stopped")


def _uvloop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # noqa: PLC0415 -- optional: not on every platform
    except ImportError:
        return None
    return uvloop.new_event_loop
