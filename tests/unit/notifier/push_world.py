"""A push service without sockets or clocks: hubs, clients that parse what they are sent, and the time as a number."""

from bisect import bisect_left
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import orjson

from services.common import messages
from services.common.errors import ERRORS, ErrorCode, JobError
from services.common.jobs import Progress, Stage, now
from services.notifier.cursors import parse
from services.notifier.frames import Flavour
from services.notifier.hub import Hub
from services.notifier.limits import HubConfig
from services.notifier.outputs import Broadcast, Close, Drop, Fetch, Write
from services.notifier.protocol import Subscribe

HIGH_WATER = 4096


class Stream:
    """The stream queue: bodies by offset, the oldest dropped by retention; some offsets have no message."""

    def __init__(self, *, hole_every: int = 0) -> None:
        self.bodies: list[bytes] = []
        self.offsets: list[int] = []
        self.seqs: dict[str, int] = {}
        self._hole_every = hole_every
        self._next = 0

    @property
    def first(self) -> int:
        return self.offsets[0] if self.offsets else self._next

    def append(self, body: bytes) -> int:
        if self._hole_every and self._next % self._hole_every == self._hole_every - 1:
            self._next += 1
        self.bodies.append(body)
        self.offsets.append(self._next)
        self._next += 1
        return self.offsets[-1]

    def truncate(self, n: int) -> None:
        del self.bodies[:n]
        del self.offsets[:n]

    def since(self, offset: int) -> list[tuple[int, bytes]]:
        start = bisect_left(self.offsets, offset)
        return list(zip(self.offsets[start:], self.bodies[start:], strict=True))

    # --- events ---

    def _number(self, job_id: str) -> int:
        self.seqs[job_id] = self.seqs.get(job_id, 0) + 1
        return self.seqs[job_id]

    def publish(self, kind: str, job_id: str, *, tenant: str = "default", attempt: int = 1, **more: Any) -> int:
        common = {"job_id": job_id, "tenant": tenant, "attempt": attempt, "time": now(), "seq": self._number(job_id)}
        about = {"input_path": "uploads/a.avi", "output_format": "mp4", "output_path": f"processed/{job_id}.mp4"}
        event: messages.Event
        if kind == "queued":
            event = messages.Queued(**common | about | more)
        elif kind == "started":
            event = messages.Started(**common | about | {"started_at": now()} | more)
        elif kind == "progress":
            percent = more.pop("percent", None)
            event = messages.Progressed(
                **common | {"stage": Stage.TRANSCODING, "progress": Progress(percent=percent)} | more
            )
        elif kind == "completed":
            event = messages.Completed(
                **common | {"output_path": about["output_path"], "outputs": [], "finished_at": now()} | more
            )
        elif kind == "failed":
            error = JobError(code=ErrorCode.NOT_MEDIA, message=ERRORS[ErrorCode.NOT_MEDIA].message)
            event = messages.Failed(**common | {"error": error, "finished_at": now()} | more)
        else:
            event = messages.Cancelled(**common | {"finished_at": now()} | more)
        return self.append(event.encode())


def parse_frames(data: bytes) -> tuple[list[tuple[int, bytes]], bytes]:
    """(opcode, payload) of each whole server frame in `data`, and the rest.  Strict: what a browser refuses fails."""
    frames = []
    while len(data) >= 2:
        assert data[0] & 0x80, "fragmented"
        assert not data[0] & 0x70, "reserved bits"
        assert not data[1] & 0x80, "masked by the server"
        size, at = data[1], 2
        if size == 126:
            size, at = int.from_bytes(data[2:4]), 4
            assert size >= 126
        elif size == 127:
            size, at = int.from_bytes(data[2:10]), 10
            assert size >= 1 << 16
        if len(data) < at + size:
            break
        frames.append((data[0] & 0x0F, data[at : at + size]))
        data = data[at + size :]
    return frames, data


@dataclass(eq=False)
class Client:
    """The other end of a connection.  It reads at once unless `reading` is False."""

    world: "World"
    hub: Hub
    flavour: Flavour = Flavour.WS
    connection: Any = None
    reading: bool = True
    received: list[dict[str, Any]] = field(default_factory=list)
    pings: int = 0
    closed: tuple[int, str] | None = None
    dropped: bool = False
    raw: bytes = b""
    writes: int = 0
    unread: bytes = b""

    def write(self, data: bytes) -> None:
        assert self.closed is None, "written to after the end"
        assert not self.dropped, "written to after the end"
        self.writes += 1
        self.unread += data
        if self.reading:
            self.read()

    def read(self) -> None:
        """Take in all that was sent."""
        data, self.unread = self.unread, b""
        self.raw += data
        if self.flavour is not Flavour.WS:
            return
        frames, rest = parse_frames(data)
        assert not rest
        for opcode, payload in frames:
            if opcode == 9:
                self.pings += 1
            else:
                assert opcode == 1
                self.received.append(orjson.loads(payload))

    def say(self, text: str | bytes | None = None, **message: Any) -> None:
        """Send a message to the hub."""
        payload = orjson.dumps(message) if message else text
        self.hub.receive(self.connection, payload, self.world.now, unread=len(self.unread))
        self.world.settle(self.hub)

    def subscribe(self, job_id: str = "*", **more: Any) -> dict[str, Any]:
        """Subscribe and return the answer."""
        before = len(self.received)
        self.say(type="subscribe", job_id=job_id, **more)
        answers = [m for m in self.received[before:] if m["type"] == "subscribed"]
        return answers[-1] if answers else {}

    def hang_up(self) -> None:
        """Cut the connection; what was not read is lost."""
        self.hub.disconnect(self.connection)
        self.dropped = True
        self.world.settle(self.hub)

    def of_type(self, *types: str) -> list[dict[str, Any]]:
        return [m for m in self.received if m["type"] in types]

    @property
    def events(self) -> list[dict[str, Any]]:
        return [m for m in self.received if m["type"].startswith("job.")]

    @property
    def offsets(self) -> list[int]:
        return [cursor.offset for e in self.events if (cursor := parse(e["cursor"]))]


class World:
    """Hubs reading one stream, and the clients connected to them."""

    def __init__(self, *, hole_every: int = 0, **config: Any) -> None:
        self.config = HubConfig(**config)
        self.now = 1000.0
        self.stream = Stream(hole_every=hole_every)
        self.read: dict[Hub, int] = {}
        self.fetch_limit: int | None = None
        self.fetches: list[Fetch] = []
        self.names = count()

    def hub(self) -> Hub:
        """A new notifier, warmed from the stream."""
        hub = Hub(self.config)
        self.read[hub] = self.stream.first
        self.follow(hub)
        return hub

    def connect(self, hub: Hub, tenant: str = "default", flavour: Flavour = Flavour.WS) -> Client:
        client = Client(self, hub, flavour)
        client.connection = hub.connect(client, tenant, flavour, self.now)
        self.settle(hub)
        return client

    def open_sse(self, hub: Hub, tenant: str = "default", **ask: Any) -> Client:
        client = Client(self, hub, Flavour.SSE)
        client.connection = hub.connect(client, tenant, Flavour.SSE, self.now)
        hub.subscribe(client.connection, Subscribe(type="subscribe", **ask), self.now)
        self.settle(hub)
        return client

    def follow(self, hub: Hub, up_to: int | None = None) -> None:
        """Let `hub` read the stream, to its end or up to offset `up_to`."""
        for offset, body in self.stream.since(self.read[hub]):
            if up_to is not None and offset > up_to:
                break
            hub.feed(offset, body, self.now)
            self.read[hub] = offset + 1
        self.settle(hub)

    def publish(self, kind: str, job_id: str, **more: Any) -> int:
        """Publish an event and let every hub read it."""
        offset = self.stream.publish(kind, job_id, **more)
        for hub in self.read:
            self.follow(hub)
        return offset

    def pass_time(self, seconds: float, step: float = 0.01) -> None:
        """Let time pass, waking the hubs when they asked for it."""
        until = self.now + seconds
        while self.now < until:
            self.now = min(until, self.now + step)
            for hub in self.read:
                self.wake(hub)

    def wake(self, hub: Hub) -> None:
        for connection in hub.slow:
            if not connection.sink.unread:
                hub.caught_up(connection)
        self.settle(hub)
        if hub.wake_at is not None and hub.wake_at <= self.now:
            hub.advance(self.now)
            self.settle(hub)

    def settle(self, hub: Hub) -> None:
        """Carry out what `hub` wants done."""
        while outputs := hub.take_outputs():
            for output in outputs:
                self._carry_out(hub, output)

    def _carry_out(self, hub: Hub, output: Any) -> None:
        if isinstance(output, Broadcast):
            self._broadcast(hub, output)
        elif isinstance(output, Write):
            for connection in output.connections:
                if not connection.sink.dropped:
                    connection.sink.write(output.data)
        elif isinstance(output, Close):
            output.connection.sink.closed = (output.code, output.reason)
        elif isinstance(output, Drop):
            output.connection.sink.dropped = True
        elif isinstance(output, Fetch):
            self.fetches.append(output)
            self.run_fetch(hub, output)

    def _broadcast(self, hub: Hub, output: Broadcast) -> None:
        for connection in output.connections:
            client = connection.sink
            if client.dropped or client.closed:
                continue
            if connection.backlog is not None or len(client.unread) > HIGH_WATER:
                hub.fell_behind(connection, output.batch, self.now)
            else:
                client.write(output.batch.encode(output.flavour))

    def run_fetch(self, hub: Hub, fetch: Fetch) -> None:
        for offset, body in self.stream.since(max(0, fetch.replay.after.offset)):
            if hub.fetched_enough(fetch.replay):
                break
            fetch.replay.feed(offset, body, hub.fanout.book)
        hub.fetched(fetch)
