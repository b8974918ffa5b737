"""Starts the processes in order, keeps them running, and stops them in order."""

import signal
from collections.abc import Mapping, Sequence
from itertools import groupby

import anyio
from anyio import to_thread

from deploy.embedded.console import Console
from deploy.embedded.guardian import Guardian, kill_group
from deploy.embedded.process import ManagedProcess, NotReadyError, bound
from deploy.embedded.restarts import RestartPolicy
from deploy.embedded.spec import ProcessSpec

_LOG_CHECK_S = 60.0


class RunFailedError(Exception):
    """The system could not be started or kept running; the text says which process and why."""


class Supervisor:
    """Runs a set of processes in the foreground until a signal comes or one of them can't be kept alive.

    Args:
        specs: the processes; what one waits for (`after`) counts only if it is among them.
        guardian: told about each process group.
        console: gets a line for whatever a person should know.
        policy: when to restart and when to give up.
    """

    def __init__(
        self,
        specs: Sequence[ProcessSpec],
        guardian: Guardian,
        console: Console,
        policy: RestartPolicy | None = None,
    ) -> None:
        self._processes: Mapping[str, ManagedProcess] = {spec.name: ManagedProcess(spec, guardian) for spec in specs}
        self._ready = {spec.name: anyio.Event() for spec in specs}
        self._console = console
        self._policy = policy or RestartPolicy()
        self._running = anyio.CancelScope()
        self._failure: str | None = None

    async def run(self, ready_line: str) -> None:
        """Start all, say `ready_line` when all are ready, and return after a signal, with everything stopped.

        Raises:
            RunFailedError: a process never got ready, or died too often; everything is stopped then, too.
        """
        async with anyio.create_task_group() as signals:
            signals.start_soon(self._obey_signals)
            try:
                with self._running:
                    await self._keep_all_running(ready_line)
            finally:
                with anyio.CancelScope(shield=True):
                    await self._stop_all()
            signals.cancel_scope.cancel()
        if self._failure:
            raise RunFailedError(self._failure)

    async def _keep_all_running(self, ready_line: str) -> None:
        async with anyio.create_task_group() as tasks:
            for process in self._processes.values():
                tasks.start_soon(self._keep_running, process)
            tasks.start_soon(self._bound_logs)
            for ready in self._ready.values():
                await ready.wait()
            self._console.say(ready_line)

    async def _keep_running(self, process: ManagedProcess) -> None:
        name = process.spec.name
        for other in process.spec.after:
            if other in self._ready:
                await self._ready[other].wait()
        deaths: list[float] = []
        if not await self._bring_up(process):
            self._fail(process, f"{name} could not be started")
            return
        self._ready[name].set()
        while True:
            if process.running:
                await process.wait()
            deaths.append(anyio.current_time())
            delay = self._policy.delay_s(deaths, deaths[-1])
            if delay is None:
                self._fail(process, f"{name} died {self._policy.max_deaths} times within a minute")
                return
            self._console.about(
                name,
                f"died ({process.ending()}); starting it again in {delay:g} s. The end of {process.spec.log}:",
                process.tail(),
            )
            await anyio.sleep(delay)
            await self._bring_up(process)

    async def _bring_up(self, process: ManagedProcess) -> bool:
        """Start it and wait until it is ready; when it isn't in time, it is stopped."""
        name = process.spec.name
        began = anyio.current_time()
        try:
            with anyio.CancelScope(shield=True):
                # A child that started just as we were told to stop has to be known, to be stopped.
                await process.start()
            await process.wait_ready()
        except (NotReadyError, OSError) as error:
            self._console.about(name, str(error))
            await process.stop()
            return False
        self._console.about(name, f"ready after {anyio.current_time() - began:.1f} s")
        return True

    def _fail(self, process: ManagedProcess, reason: str) -> None:
        self._console.about(process.spec.name, f"the end of {process.spec.log}:", process.tail())
        self._failure = reason
        self._running.cancel()

    async def _stop_all(self) -> None:
        by_stage = sorted(self._processes.values(), key=lambda process: process.spec.stop_stage)
        for _, stage in groupby(by_stage, key=lambda process: process.spec.stop_stage):
            async with anyio.create_task_group() as tasks:
                for process in stage:
                    tasks.start_soon(process.stop)

    async def _obey_signals(self) -> None:
        """The first signal stops in order, the second at once."""
        heard = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
            # Under nohup it is ignored, and should stay so.
            heard.append(signal.SIGHUP)
        with anyio.open_signal_receiver(*heard) as received:
            async for signum in received:
                if self._running.cancel_called:
                    self._kill_all()
                    continue
                self._console.say(f"Stopping ({signum.name}); once more to stop at once")
                self._running.cancel()

    def _kill_all(self) -> None:
        for process in self._processes.values():
            if process.running and process.pid is not None:
                kill_group(process.pid)

    async def _bound_logs(self) -> None:
        while True:
            await anyio.sleep(_LOG_CHECK_S)
            for process in self._processes.values():
                try:
                    await to_thread.run_sync(bound, process.spec.log)
                except OSError as error:
                    self._console.about(process.spec.name, f"{process.spec.log}: {error.strerror}")
