"""The real thing for tests: broker, store, front door and services on free ports, with the embedded run's own specs.

    stack.url, stack.amqp_url, stack.s3, stack.env      where everything is
    await stack.start("gateway", "transcoder")          start and wait until ready
    await stack.stop("gateway")                         as a shutdown would
    stack.kill("transcoder", signal.SIGKILL)            as a crash would
    await stack.exited("transcoder")                    its exit status
    await stack.restart("rabbitmq")                     stop, start, wait until ready
    stack.log("gateway")                                all that it wrote since its start

A `Stack` made with `broker=other` has a store, a data directory and ports of its own, and a fresh vhost of the other
one's broker: as good as a broker of its own, as long as nobody stops that.
"""

import contextlib
import inspect
import os
import shutil
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from typing import TypeVar

import anyio

from deploy.embedded.broker import USER, broker_tool
from deploy.embedded.guardian import Guardian
from deploy.embedded.layout import Layout
from deploy.embedded.ports import free_ports
from deploy.embedded.process import ManagedProcess, NotReadyError
from deploy.embedded.settings import EmbeddedSettings
from deploy.embedded.spec import HttpProbe
from deploy.embedded.store import BUCKET, REGION
from deploy.embedded.system import System, prepared

Result = TypeVar("Result")
SERVICES = ("gateway", "notifier", "transcoder")
BROKER = ("epmd", "rabbitmq")
# All that the services inherit of the tests' own environment: a developer's settings are not for them.
INHERITED = ("PATH", "HOME", "LANG", "TMPDIR")
_vhosts = count(1)
stacks_made: "list[Stack]" = []


@dataclass(frozen=True, slots=True)
class Bucket:
    """What an S3 client needs."""

    endpoint: str
    public_endpoint: str
    access_key: str
    secret_key: str
    region: str
    bucket: str


class Stack:
    def __init__(self, system: System, guardian: Guardian, *, broker: "Stack | None" = None) -> None:
        self.system = system
        self.settings = system.settings
        self.made_at = time.time()
        self._guardian = guardian
        self._broker = broker
        self._forgotten: list[str] = []
        self._specs = dict(system.processes)
        self._processes = {name: ManagedProcess(spec, guardian) for name, spec in self._specs.items()}

    @property
    def env(self) -> dict[str, str]:
        """Environment for anything that should work on this stack; a copy, to be changed at will."""
        return dict(self.system.environment)

    @property
    def data_dir(self) -> Path:
        return self.settings.data_dir

    @property
    def amqp_url(self) -> str:
        return self.env["AMQP_URL"]

    @property
    def s3(self) -> Bucket:
        credentials = self.system.credentials
        return Bucket(
            endpoint=self.env["S3_ENDPOINT"],
            public_endpoint=self.env["S3_PUBLIC_ENDPOINT"],
            access_key=credentials.s3_access_key,
            secret_key=credentials.s3_secret_key,
            region=REGION,
            bucket=BUCKET,
        )

    @property
    def url(self) -> str:
        """The front door (nginx): the page, `/api`, `/ws`, `/events` and the bucket."""
        return self.settings.url

    @property
    def gateway_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.gateway_port}"

    @property
    def notifier_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.notifier_port}"

    @property
    def transcoder_url(self) -> str:
        return f"http://127.0.0.1:{self.settings.transcoder_port}"

    def pid(self, name: str) -> int:
        pid = self._process(name).pid
        assert pid is not None, f"{name} was never started"
        return pid

    def running(self, name: str) -> bool:
        return self._process(name).running

    def log(self, name: str) -> str:
        """All that it wrote since its last start."""
        path = self._process(name).spec.log
        return path.read_text(errors="replace") if path.exists() else ""

    def add(self, name: str, like: str, *, port: int, env: Mapping[str, str]) -> None:
        """One more process, `like` another one but for its name, the port it is ready on, and its environment."""
        spec = self._specs[like]
        assert isinstance(spec.ready, HttpProbe)
        self._specs[name] = replace(
            spec,
            name=name,
            env={**spec.env, **env},
            log=spec.log.with_name(f"{name}.log"),
            ready=replace(spec.ready, port=port),
        )
        self._processes[name] = ManagedProcess(self._specs[name], self._guardian)

    async def start(self, *names: str, env: Mapping[str, str] | None = None) -> None:
        """Start each that isn't running and wait until it is ready; `env` is laid over its environment.

        Raises:
            AssertionError: it didn't get ready; the message has the end of its log.
        """
        for name in names:
            if self.running(name):
                continue
            if env:
                spec = self._specs[name]
                spec = replace(spec, env={**spec.env, **env})
                self._processes[name] = ManagedProcess(spec, self._guardian)
            await self._process(name).start()
        for name in names:
            await self.ready(name)

    async def ready(self, name: str) -> None:
        process = self._process(name)
        try:
            await process.wait_ready()
        except NotReadyError as error:
            lines = "\n".join(process.tail(30))
            raise AssertionError(f"{name} {error}; the end of its log:\n{lines}") from error

    async def stop(self, *names: str) -> None:
        for name in names:
            process = self._process(name)
            ran = process.running
            await process.stop()
            if ran and process.ending() == "killed by SIGKILL":
                with process.spec.log.open("a") as log:
                    log.write(f"ERROR: it did not stop within {process.spec.stop_grace_s:.0f} seconds and was killed\n")

    async def restart(self, name: str) -> None:
        await self.stop(name)
        await self.start(name)

    def kill(self, name: str, signum: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal to it, not to its children."""
        self._process(name).kill(signum)

    async def exited(self, name: str, timeout: float = 60) -> int:  # noqa: ASYNC109 - a test's own limit
        """Wait until it has ended by itself; its exit status, negative for a signal."""
        with anyio.fail_after(timeout):
            return await self._process(name).wait()

    async def aclose(self) -> None:
        """Stop all that is this stack's own."""
        last = ("s3", *reversed(BROKER))
        async with anyio.create_task_group() as stopping:
            for name in set(self._processes) - set(last):
                stopping.start_soon(self.stop, name)
        await self.stop(*(name for name in last if not (self._broker and name in BROKER)))

    def forget_vhost(self, name: str) -> None:
        """Let it go when the next one is made: each call of `rabbitmqctl` starts an Erlang of its own."""
        self._forgotten.append(name)

    async def add_vhost(self) -> str:
        """A new, empty vhost of this stack's broker, all rights given."""
        name = f"test-{os.getpid()}-{next(_vhosts)}"
        expression = "".join(
            f'spawn(fun() -> rabbit_vhost:delete(<<"{old}">>, <<"test">>) end), ' for old in self._forgotten
        )
        self._forgotten = []
        expression += (
            f'rabbit_vhost:add(<<"{name}">>, <<"test">>), '
            f'rabbit_auth_backend_internal:set_permissions(<<"{USER}">>, <<"{name}">>, '
            f'<<".*">>, <<".*">>, <<".*">>, <<"test">>).'
        )
        await self.rabbitmqctl("eval", expression)
        return name

    async def rabbitmqctl(self, *arguments: str) -> str:
        """Run an administrative command on the broker; its output."""
        owner = self._broker or self
        spec = owner.system.processes["rabbitmq"]
        result = await anyio.run_process(
            [broker_tool("rabbitmqctl"), "--quiet", *arguments], env=spec.env, cwd=spec.cwd
        )
        return result.stdout.decode()

    def _process(self, name: str) -> ManagedProcess:
        if self._broker and name in BROKER:
            return self._broker._process(name)
        return self._processes[name]


@contextlib.asynccontextmanager
async def make_stack(
    data_dir: Path, *, broker: Stack | None = None, env: Mapping[str, str] | None = None
) -> AsyncIterator[Stack]:
    """A stack with nothing started yet; all that was started is stopped at the exit.

    Args:
        data_dir: for its own use, made if absent.
        broker: a stack whose broker to use, by a fresh vhost; without it the stack has its own.
        env: more environment for the services.
    """
    http, gateway, notifier, transcoder, s3, amqp = free_ports(6)
    settings = EmbeddedSettings(
        http_port=http,
        gateway_port=gateway,
        notifier_port=notifier,
        transcoder_port=transcoder,
        s3_port=s3,
        amqp_port=broker.settings.amqp_port if broker else amqp,
        epmd_port=0,
        amqp_dist_port=0,
        bind="127.0.0.1",
        data_dir=data_dir,
        s3_public_endpoint=None,
    )
    caller = {name: os.environ[name] for name in INHERITED if name in os.environ} | dict(env or {})
    vhost = await broker.add_vhost() if broker else ""
    if broker:
        _share_secrets(broker.settings.layout, settings.layout)
    with Guardian() as guardian, prepared(settings, caller, vhost=vhost) as system:
        stack = Stack(system, guardian, broker=broker)
        stacks_made.append(stack)
        try:
            yield stack
        finally:
            await stack.aclose()
            if broker:
                broker.forget_vhost(vhost)


def _share_secrets(broker: Layout, own: Layout) -> None:
    own.data_dir.mkdir(parents=True, exist_ok=True)
    shutil.copy(broker.secrets, own.secrets)


async def eventually(
    predicate: Callable[[], Awaitable[Result] | Result],
    timeout: float = 60,  # noqa: ASYNC109 - a test's own limit
    every: float = 0.05,
) -> Result:
    """The first true value of `predicate`, asked again and again; one that raises AssertionError counts as false.

    Raises:
        AssertionError: time is up; the last one raised, or one that tells the last value.
    """
    value: Result | None = None
    failure: AssertionError | None = None
    with anyio.move_on_after(timeout):
        while True:
            try:
                answer = predicate()
                value = await answer if inspect.isawaitable(answer) else answer
                failure = None
            except AssertionError as error:
                failure = error
            if value and failure is None:
                return value
            await anyio.sleep(every)
    raise failure or AssertionError(f"not within {timeout} s: {predicate} gave {value!r}")
