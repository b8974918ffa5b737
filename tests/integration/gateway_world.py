"""Shared by the gateway's integration and fault tests: a PostgreSQL, a client, and a seat at the broker."""

import contextlib
import os
import shutil
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any, Self

import aio_pika
import aiohttp
import anyio
import orjson
from aiormq.exceptions import ChannelNotFoundEntity
from yarl import URL

from deploy.embedded.ports import free_ports
from services.common.jobs import now, timestamp
from services.common.settings import CommonSettings
from services.common.storage import Storage
from tests.stack import Stack, eventually


def _postgres_bin() -> Path | None:
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    return found[-1] if found else None


class Postgres:
    """A private cluster, reached by TCP on a free port of loopback."""

    def __init__(self, directory: Path, port: int) -> None:
        found = _postgres_bin()
        assert found is not None
        self._bin = found
        self._data = directory / "data"
        self._port = port
        self._process: anyio.abc.Process | None = None
        # It refuses to run as root.
        self._as = ["runuser", "-u", "postgres", "--"] if os.geteuid() == 0 else []
        if self._as:
            shutil.chown(directory, "postgres")

    def url(self, database: str) -> str:
        return f"postgresql://gateway@127.0.0.1:{self._port}/{database}"

    async def start(self) -> None:
        if not self._data.exists():
            await self._run("initdb", "-D", str(self._data), "-U", "gateway", "-A", "trust", "--no-sync")
        options = ["-h", "127.0.0.1", "-p", str(self._port), "-k", str(self._data), "-c", "fsync=off"]
        self._process = await anyio.open_process(
            [*self._as, str(self._bin / "postgres"), "-D", str(self._data), *options], stdout=None, stderr=None
        )
        await eventually(self._ready)

    async def stop(self) -> None:
        if self._process is not None:
            with contextlib.suppress(AssertionError):
                await self._run("pg_ctl", "-D", str(self._data), "-m", "immediate", "stop")
            await self._process.wait()
            self._process = None

    async def create(self, database: str) -> str:
        """A new, empty database; its URL."""
        await self._run("createdb", "-h", "127.0.0.1", "-p", str(self._port), "-U", "gateway", database)
        return self.url(database)

    async def _ready(self) -> bool:
        command = [str(self._bin / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self._port)]
        return (await anyio.run_process(command, check=False)).returncode == 0

    async def _run(self, program: str, *arguments: str) -> None:
        command = [*self._as, str(self._bin / program), *arguments]
        result = await anyio.run_process(command, check=False)
        assert result.returncode == 0, result.stderr.decode()


@contextlib.asynccontextmanager
async def running_postgres() -> AsyncIterator[Postgres | None]:
    """A cluster; None where PostgreSQL is not installed."""
    if _postgres_bin() is None:
        yield None
        return
    # Not below pytest's own directory, which the server's user may not enter.
    directory = Path(tempfile.mkdtemp(prefix="gateway-postgres-"))
    [port] = free_ports(1)
    postgres = Postgres(directory, port)
    try:
        await postgres.start()
        yield postgres
    finally:
        await postgres.stop()
        shutil.rmtree(directory, ignore_errors=True)


class Api:
    """A client of a gateway.  Calls give (status, body, headers)."""

    def __init__(self, url: str, headers: dict[str, str] | None = None, *, connections: int = 100) -> None:
        self.url = url
        connector = aiohttp.TCPConnector(limit=connections)  # 0 for any number
        self._session = aiohttp.ClientSession(headers=headers, connector=connector)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._session.close()

    async def call(self, method: str, path: str, **arguments: Any) -> tuple[int, Any, Any]:
        arguments.setdefault("allow_redirects", False)
        async with self._session.request(method, self.url + path, **arguments) as answer:
            body = await answer.read()
            if answer.content_type.endswith("json") and body:
                return answer.status, orjson.loads(body), answer.headers
            return answer.status, body, answer.headers

    async def get(self, path: str, **arguments: Any) -> tuple[int, Any, Any]:
        return await self.call("GET", path, **arguments)

    async def post(self, path: str, **arguments: Any) -> tuple[int, Any, Any]:
        return await self.call("POST", path, **arguments)

    async def delete(self, path: str, **arguments: Any) -> tuple[int, Any, Any]:
        return await self.call("DELETE", path, **arguments)

    async def put(self, url: str, body: bytes, headers: dict[str, str] | None = None) -> tuple[int, Any]:
        # Without the headers that are meant for the gateway.
        async with (
            aiohttp.ClientSession() as outside,
            outside.put(URL(url, encoded=True), data=body, headers=headers) as answer,
        ):
            await answer.read()
            return answer.status, answer.headers

    async def upload(self, body: bytes = b"not a video", **wanted: Any) -> str:
        status, upload, _ = await self.post("/upload/request", json={"filename": "holiday.AVI", **wanted})
        assert status == 201, upload
        status, _ = await self.put(upload["url"], body, upload["headers"])
        assert status == 200
        return str(upload["input_path"])

    async def submit(self, input_path: str | None = None, **wanted: Any) -> dict[str, Any]:
        input_path = input_path or await self.upload()
        status, job, _ = await self.post("/jobs", json={"input_path": input_path, "output_format": "mp4", **wanted})
        assert status == 201, job
        return dict(job)

    async def job(self, job_id: str) -> dict[str, Any]:
        status, job, _ = await self.get(f"/jobs/{job_id}")
        assert status == 200, job
        return dict(job)

    async def becomes(self, job_id: str, status: str) -> dict[str, Any]:
        """The job once it is in `status`."""

        async def look() -> dict[str, Any]:
            job = await self.job(job_id)
            assert job["status"] == status, job
            return job

        return await eventually(look)


class Seat:
    """Somebody at the broker who says what transcoders say and hears what they hear."""

    def __init__(self, channel: Any) -> None:
        self.channel = channel
        self.heard: list[tuple[str, dict[str, Any]]] = []

    async def publish(self, exchange: str, routing_key: str, body: bytes) -> None:
        target = await self.channel.get_exchange(exchange, ensure=False)
        await target.publish(aio_pika.Message(body, delivery_mode=2), routing_key)

    async def tell(self, kind: str, job: dict[str, Any], *, seq: int | None = None, **fields: Any) -> None:
        """Publish an event of `job`, as a transcoder would."""
        about = {name: job[name] for name in ("job_id", "attempt", "input_path", "output_format", "output_path")}
        moment = timestamp(now())
        event = {
            "type": f"job.{kind}",
            "tenant": "default",
            "seq": seq or job["seq"] + 1,
            "time": moment,
            "started_at": moment,
            "finished_at": moment,
            "stage": "transcoding" if kind == "progress" else None,
            **about,
            **fields,
        }
        if kind == "started":
            del event["stage"]
        await self.publish("video.events", f"job.{kind}.default.{job['job_id']}", orjson.dumps(event))

    async def listen(self, *bindings: tuple[str, str]) -> None:
        """Hear what is published from now on."""
        queue = await self.channel.declare_queue(exclusive=True)
        for exchange, pattern in bindings:
            await queue.bind(exchange, pattern)

        async def on_message(message: Any) -> None:
            self.heard.append((message.routing_key, orjson.loads(message.body)))

        await queue.consume(on_message, no_ack=True)

    async def hears(self, kind: str, job_id: str) -> dict[str, Any]:
        """The first message of that kind (`queued`, `cancel`, `requested`…) about the job."""

        def look() -> dict[str, Any]:
            for key, message in self.heard:
                if key.split(".")[1] == kind and message["job_id"] == job_id:
                    return message
            raise AssertionError([key for key, _ in self.heard])

        return await eventually(look)


async def _declared(connection: Any) -> bool:
    """True once the last of the topology's queues is there."""
    try:
        async with connection.channel() as channel:
            await channel.get_queue("video-jobs.dead", ensure=True)
    except ChannelNotFoundEntity:
        return False
    return True


@contextlib.asynccontextmanager
async def seated(stack: Stack) -> AsyncIterator[Seat]:
    """A seat at the stack's broker, once somebody has declared the topology there."""
    connection = await aio_pika.connect(stack.amqp_url)
    async with connection:
        await eventually(lambda: _declared(connection))
        yield Seat(await connection.channel())


@contextlib.asynccontextmanager
async def bucket(stack: Stack) -> AsyncIterator[Storage]:
    settings = CommonSettings(
        s3_endpoint=stack.s3.endpoint,
        s3_access_key=stack.s3.access_key,
        s3_secret_key=stack.s3.secret_key,
    )
    async with Storage(settings) as storage:
        yield storage
