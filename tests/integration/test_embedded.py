"""The embedded run as a person meets it: a program in the foreground, its lines, its end."""

import os
import shlex
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import aio_pika
import aiohttp
import anyio
import pytest
from anyio.abc import Process

from deploy.embedded.console import Console
from deploy.embedded.credentials import load_or_create
from deploy.embedded.guardian import Guardian
from deploy.embedded.layout import CHECKOUT
from deploy.embedded.ports import free_ports
from deploy.embedded.process import ManagedProcess
from deploy.embedded.restarts import RestartPolicy
from deploy.embedded.spec import ProcessSpec, TcpProbe
from deploy.embedded.supervisor import RunFailedError, Supervisor
from tests.stack import INHERITED, eventually

QUICK = "epmd,s3,nginx"
WITH_BROKER = "epmd,rabbitmq,s3,nginx"
PORTS = ("HTTP_PORT", "GATEWAY_PORT", "NOTIFIER_PORT", "TRANSCODER_PORT", "S3_PORT", "AMQP_PORT")


@dataclass
class Run:
    """A started `python -m deploy.embedded`."""

    process: Process
    output: Path

    @property
    def text(self) -> str:
        return self.output.read_text()

    async def says(self, words: str, timeout: float = 180) -> None:  # noqa: ASYNC109 - a test's own limit
        def said() -> bool:
            assert self.process.returncode is None or words in self.text, self.text
            return words in self.text

        await eventually(said, timeout)

    async def ends(self) -> int:
        with anyio.fail_after(120):
            return await self.process.wait()

    async def terminated(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return await self.ends()


def environment(data_dir: Path, **more: str) -> dict[str, str]:
    ports = dict(zip(PORTS, map(str, free_ports(len(PORTS))), strict=True))
    inherited = {name: os.environ[name] for name in INHERITED if name in os.environ}
    return {**inherited, **ports, "DATA_DIR": str(data_dir), **more}


@asynccontextmanager
async def started(env: Mapping[str, str], only: str, output: Path) -> AsyncIterator[Run]:
    command = ["setpriv", "--pdeathsig", "TERM", "--", sys.executable, "-m", "deploy.embedded", "--only", only]
    with output.open("wb") as file:
        process = await anyio.open_process(
            command, env=env, cwd=CHECKOUT, stdin=subprocess.DEVNULL, stdout=file, stderr=file
        )
    try:
        yield Run(process, output)
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


def descendants(pid: int) -> list[int]:
    children = [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]
    return [*children, *(deeper for child in children for deeper in descendants(child))]


def alive(pids: list[int]) -> list[str]:
    """Command lines of those that still run; a zombie, whoever has to reap it, doesn't."""
    lines = []
    for pid in pids:
        try:
            state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
            command = Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state != "Z":
            lines.append(command)
    return lines


def pid_of(run: Run, words: str) -> int:
    (pid,) = [
        pid
        for pid in descendants(run.process.pid)
        if words in Path(f"/proc/{pid}/cmdline").read_text().replace("\0", " ")
    ]
    return pid


async def test_it_says_where_it_is_and_sigterm_leaves_no_process(tmp_path: Path) -> None:
    env = environment(tmp_path / "data")
    async with started(env, WITH_BROKER, tmp_path / "out") as run:
        await run.says(f"Ready: http://localhost:{env['HTTP_PORT']}\n")
        pids = descendants(run.process.pid)
        commands = " ".join(alive(pids))
        for program in ("epmd", "beam", "rclone", "nginx: worker"):
            assert program in commands
        assert await run.terminated() == 0
        assert alive(pids) == []
        assert run.text.endswith("Stopped\n")


async def test_killed_outright_it_takes_everything_along(tmp_path: Path) -> None:
    async with started(environment(tmp_path / "data"), QUICK, tmp_path / "out") as run:
        await run.says("Ready")
        pids = descendants(run.process.pid)
        assert "nginx: worker" in " ".join(alive(pids))
        run.process.kill()
        await run.ends()
        await eventually(lambda: not alive(pids))


async def test_a_taken_port_is_named_with_its_setting_and_nothing_is_started(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        async with started(environment(tmp_path / "data", S3_PORT=port), QUICK, tmp_path / "out") as run:
            assert await run.ends() == 2
    assert f"port {port} on 127.0.0.1 is taken" in run.text
    assert "set S3_PORT" in run.text
    assert list((tmp_path / "data" / "logs").iterdir()) == []


async def test_wrong_settings_are_all_told_at_once(tmp_path: Path) -> None:
    env = environment(tmp_path / "data", HTTP_PORT="eighty", JOB_TIMEOUT="soon")
    async with started(env, QUICK, tmp_path / "out") as run:
        assert await run.ends() == 2
    assert "HTTP_PORT" in run.text
    assert "JOB_TIMEOUT" in run.text
    assert "Traceback" not in run.text


async def test_a_second_copy_runs_beside_the_first_but_not_on_its_data(tmp_path: Path) -> None:
    first_env, second_env = environment(tmp_path / "one"), environment(tmp_path / "two")
    async with (
        started(first_env, QUICK, tmp_path / "out-1") as first,
        started(second_env, QUICK, tmp_path / "out-2") as second,
    ):
        await first.says("Ready")
        await second.says("Ready")
        async with started(environment(tmp_path / "one"), QUICK, tmp_path / "out-3") as third:
            assert await third.ends() == 2
        assert f"another copy is running on {tmp_path / 'one'}" in third.text
        assert await first.terminated() == 0
        assert await second.terminated() == 0


async def test_a_child_that_dies_is_reported_and_started_again(tmp_path: Path) -> None:
    env = environment(tmp_path / "data")
    async with started(env, QUICK, tmp_path / "out") as run:
        await run.says("Ready")
        killed = pid_of(run, "rclone serve")
        os.kill(killed, signal.SIGKILL)
        await run.says("died (killed by SIGKILL)")
        await eventually(lambda: run.text.count("s3          ready") == 2)
        assert "| " in run.text
        assert "Starting s3 server" in run.text
        assert pid_of(run, "rclone serve") != killed
        assert await run.terminated() == 0


async def test_no_secret_is_on_a_terminal_or_a_command_line_or_open_to_others(tmp_path: Path) -> None:
    data_dir = tmp_path / "data"
    async with started(environment(data_dir), WITH_BROKER, tmp_path / "out") as run:
        await run.says("Ready")
        lines = (data_dir / "secrets").read_text().split()
        commands = " ".join(alive(descendants(run.process.pid)))
        for value in (line.partition("=")[2] for line in lines):
            assert value not in run.text
            assert value not in commands
        assert not [path for path in (data_dir, data_dir / "secrets") if path.stat().st_mode & 0o077]
        assert await run.terminated() == 0


async def test_messages_and_objects_are_back_after_a_restart_below_an_odd_path_and_a_move(tmp_path: Path) -> None:
    data_dir = tmp_path / "an odd 'path' & 視頻 🎬 $x"
    for start in ("first", "second"):
        if start == "second":
            data_dir = data_dir.rename(tmp_path / "moved")
        env = environment(data_dir)
        async with started(env, WITH_BROKER, tmp_path / f"out-{start}") as run:
            await run.says("Ready")
            password = load_or_create(data_dir / "secrets").amqp_password
            url = f"amqp://video:{password}@127.0.0.1:{env['AMQP_PORT']}/"
            if start == "first":
                await publish(url)
                (data_dir / "objects" / "videos" / "film.mp4").write_bytes(b"film")
            else:
                assert await eventually(lambda url=url: received(url)) == (b"work", b"event")
                async with aiohttp.ClientSession() as http:
                    answer = await http.get(f"http://127.0.0.1:{env['S3_PORT']}/videos/film.mp4")
                    assert answer.status in (400, 403), "there, and still under lock"
            assert await run.terminated() == 0


async def declared(connection: aio_pika.abc.AbstractConnection, kind: str) -> aio_pika.abc.AbstractQueue:
    channel = await connection.channel()
    await channel.set_qos(prefetch_count=1)
    return await channel.declare_queue(kind, durable=True, arguments={"x-queue-type": kind})


async def publish(url: str) -> None:
    async with await aio_pika.connect(url) as connection:
        for kind, body in (("quorum", b"work"), ("stream", b"event")):
            queue = await declared(connection, kind)
            message = aio_pika.Message(body, delivery_mode=aio_pika.DeliveryMode.PERSISTENT)
            await queue.channel.default_exchange.publish(message, kind)


async def received(url: str) -> tuple[bytes, ...]:
    """The first message of each queue. Just after a start a stream may not be there yet."""
    bodies: list[bytes] = []
    try:
        async with await aio_pika.connect(url) as connection:
            for kind in ("quorum", "stream"):
                queue = await declared(connection, kind)
                arguments = {"x-stream-offset": "first"} if kind == "stream" else {}
                async with queue.iterator(timeout=30, arguments=arguments) as messages:
                    # Not acknowledged, so that another try finds it again.
                    bodies.append((await anext(messages)).body)
    except aio_pika.exceptions.AMQPError as error:
        raise AssertionError(str(error)) from error
    return tuple(bodies)


def child(tmp_path: Path, script: str, **more: object) -> ProcessSpec:
    (port,) = free_ports(1)
    fields: dict[str, object] = {
        "name": "child",
        "argv": ("sh", "-c", script.replace("PORT", str(port))),
        "env": {"PATH": os.environ["PATH"]},
        "cwd": tmp_path,
        "log": tmp_path / "child.log",
        "ready": TcpProbe("127.0.0.1", port),
        **more,
    }
    return ProcessSpec(**fields)  # type: ignore[arg-type]


async def test_a_child_that_never_gets_ready_ends_the_run_with_the_end_of_its_log(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = child(tmp_path, "seq 100; echo the reason; exit 3")
    with Guardian() as guardian, pytest.raises(RunFailedError, match="child could not be started"):
        await Supervisor([spec], guardian, Console()).run("Ready")
    said = capsys.readouterr().out
    assert "exit status 3" in said
    assert "| the reason" in said
    assert "| 86\n" not in said
    assert "Ready" not in said


async def test_a_child_that_keeps_dying_ends_the_run(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    # Ready, and gone at the first connection: which is the probe's.
    serve_once = "import socket,time; s=socket.create_server(('127.0.0.1', PORT)); s.accept(); time.sleep(.3)"
    spec = child(tmp_path, f'exec {shlex.quote(sys.executable)} -c "{serve_once}"')
    policy = RestartPolicy(first_delay_s=0.01, max_deaths=3)
    with Guardian() as guardian, pytest.raises(RunFailedError, match="3 times"):
        await Supervisor([spec], guardian, Console(), policy).run("Ready")
    said = capsys.readouterr().out
    assert said.count("ready after") == 3
    assert said.count("died (exit status 0)") == 2


async def test_a_child_that_does_not_listen_to_signals_is_killed_with_its_children(tmp_path: Path) -> None:
    script = "trap '' TERM; sleep 600 & echo $! > grandchild; wait; sleep 600"
    spec = child(tmp_path, script, stop_grace_s=0.1)
    with Guardian() as guardian:
        process = ManagedProcess(spec, guardian)
        await process.start()
        pid_file = tmp_path / "grandchild"
        grandchild = int(await eventually(lambda: pid_file.exists() and pid_file.read_text()))
        await process.stop()
        assert process.ending() == "killed by SIGKILL"
        await eventually(lambda: not alive([grandchild]))


async def test_what_a_dead_child_leaves_behind_is_ended(tmp_path: Path) -> None:
    spec = child(tmp_path, "sleep 600 & echo $! > grandchild; kill -9 $$")
    with Guardian() as guardian:
        process = ManagedProcess(spec, guardian)
        await process.start()
        await process.wait()
        await eventually(lambda: not alive([int((tmp_path / "grandchild").read_text())]))
