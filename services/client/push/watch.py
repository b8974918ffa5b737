"""Watching jobs: an async iterator of what happens to them, whatever happens to the connection.

A reader that is slow is a slow reader for the server too, which then sends only the newest progress.  Waiting for an
event may be cancelled (by a timeout, say) and taken up again: nothing is lost by it.
"""

from collections import deque
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final, Self
from urllib.parse import quote

from services.client.errors import ClientError, NotFoundError
from services.client.models import Job
from services.client.push.feed import Feed, OnState
from services.client.push.ledger import Ledger, State
from services.client.push.terms import Frame, Transport
from services.client.rest import Rest

SNAPSHOT: Final = "snapshot"


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a job.

    Attributes:
        type: `job.queued`, `job.started`, `job.progress`, `job.retrying`, `job.completed`, `job.failed`,
            `job.cancelled`; or `snapshot`, where the job is told as it is and not what happened to it.
        job: the job after it.
        fields: the event as it came.
        cursor: the place in the feed; None for what did not come with one.
        transport: what it came over.
    """

    type: str
    job: Job
    fields: Mapping[str, Any]
    cursor: str | None
    transport: Transport | None


class Watch:
    """See the module.  Iterate over it; leave its `async with`, or call `aclose`, to let go of the connection."""

    def __init__(
        self,
        rest: Rest,
        job_ids: Iterable[str],
        *,
        on_end: Callable[[str], None] = lambda _: None,
        after: str | None = None,
        ends_only: bool = False,
        until_done: bool = True,
        on_state: OnState | None = None,
        transports: Collection[Transport] = tuple(Transport),
        give_up_after_s: float | None = None,
    ) -> None:
        """See `Client.watch`; `on_end` is told of each job whose end becomes known."""
        self._rest = rest
        self._on_end = on_end
        self._until_done = until_done
        self._ends_only = ends_only
        self._feed = Feed(
            rest, transports, after=after, ends_only=ends_only, on_state=on_state, give_up_after_s=give_up_after_s
        )
        self._feed.want(job_ids)
        if after is not None:
            self._feed.continue_all()
        self._ledger = Ledger()
        self._ready: deque[Event] = deque()
        self._frame: Frame | None = None  # not yet dealt with
        self._before_replay: dict[str, State] = {}
        self._closed = False

    @property
    def cursor(self) -> str | None:
        """The place reached in the feed; hand it to another watch of the same jobs as `after` to go on from there."""
        return self._feed.cursor

    @property
    def transport(self) -> Transport | None:
        """What the feed arrives over, None while there is none."""
        return self._feed.transport

    async def add(self, *job_ids: str) -> None:
        """Watch these too, or again after a retry; the first that is heard of each is a snapshot."""
        before = self._feed.targets
        self._feed.want(job_ids)
        for job_id in job_ids:
            self._ledger.forget(job_id)
        await self._feed.subscribe((self._feed.targets - before) or set(job_ids))

    def discard(self, job_id: str) -> None:
        """No longer tell of this job, nor wait for it."""
        self._feed.job_ids.pop(job_id, None)
        self._ledger.forget(job_id)

    def __aiter__(self) -> Self:
        """Itself."""
        return self

    async def __anext__(self) -> Event:
        """The next event.

        Raises:
            NotFoundError: one of the jobs is not there.
            NotAllowedError: the key is not good for watching.
            UnreachableError: nothing was heard for `give_up_after_s` seconds.
        """
        try:
            while not self._ready and not self._finished:
                self._frame = self._frame or await self._feed.next()
                if self._frame is not None:
                    await self._deal_with(self._frame)
                    self._frame = None
        except ClientError:
            await self.aclose()
            raise
        if self._ready:
            return self._ready.popleft()
        await self.aclose()
        raise StopAsyncIteration

    async def aclose(self) -> None:
        """Let go of the connection; there are no more events."""
        self._closed = True
        await self._feed.aclose()

    async def __aenter__(self) -> Self:
        """Itself."""
        return self

    async def __aexit__(self, *_: object) -> None:
        """Close."""
        await self.aclose()

    @property
    def _finished(self) -> bool:
        done = self._until_done and not self._feed.all and self._ledger.all_done(self._feed.job_ids)
        return self._closed or done

    async def _deal_with(self, frame: Frame) -> None:
        """Make events of a frame.  Done twice, it makes them once: what is known already is no news."""
        match frame.get("type"):
            case "subscribed":
                for job in frame.get("jobs", ()):
                    self._snapshot(job, frame.get("cursor"))
                for job_id in frame.get("gone", ()):
                    self._gone(job_id)
                await self._ask_for_unheard(recovered=frame.get("recovered") is True)
            case "pong" | "beat":
                while self._before_replay:
                    self._snapshot(self._before_replay.popitem()[1], None)
            case str() if "job_id" in frame and "seq" in frame and self._wanted(frame["job_id"]):
                await self._event(frame)
            case _:
                pass

    def _snapshot(self, job: Mapping[str, Any], cursor: str | None) -> None:
        if self._wanted(job["job_id"]) and (known := self._ledger.take_snapshot(job)) is not None:
            self._emit(SNAPSHOT, known, job, cursor)

    async def _event(self, frame: Frame) -> None:
        job_id = frame["job_id"]
        try:
            job = self._ledger.take_event(frame, self._before_replay.get(job_id))
        except KeyError:
            job = self._ledger.take_event(frame, base) if (base := await self._asked_for(job_id)) else None
        if job is not None:
            self._emit(frame["type"], job, frame, frame.get("cursor"))

    async def _ask_for_unheard(self, *, recovered: bool) -> None:
        """Ask the API for jobs that the push channel did not tell of.

        They are too old for it, or too new, or none at all.  Where it goes on from a cursor, it is silent because
        events that lead to the present may follow, so the answer has to wait for those.
        """
        missing = [job_id for job_id in self._feed.job_ids if self._ledger.get(job_id) is None]
        for job_id in missing:
            if (job := await self._asked_for(job_id)) is None:
                continue
            if recovered:
                self._before_replay[job_id] = job
            else:
                self._snapshot(job, None)
        if recovered and self._before_replay:
            await self._feed.mark()

    async def _asked_for(self, job_id: str) -> State | None:
        try:
            reply = await self._rest.call("GET", f"/jobs/{quote(job_id, safe='')}")
        except NotFoundError:
            if job_id in self._feed.job_ids:
                raise
            return None  # one of all jobs, deleted meanwhile
        job: State = reply.body
        return job

    def _gone(self, job_id: str) -> None:
        """A job that was there has been deleted: for whoever waits for its end, that is it."""
        known = self._ledger.get(job_id)
        if known is None:
            return
        end = {name: known[name] for name in ("job_id", "attempt", "seq")}
        end |= {"type": "job.cancelled", "status": "CANCELLED", "stage": None, "time": known["updated_at"]}
        if (job := self._ledger.take_event(end)) is not None:
            self._emit("job.cancelled", job, end, None)

    def _emit(self, kind: str, job: State, fields: Mapping[str, Any], cursor: str | None) -> None:
        event = Event(kind, Job.model_validate(job), dict(fields), cursor, self._feed.transport)
        if event.job.done:
            self._on_end(event.job.job_id)
        if event.job.done or not self._ends_only:
            self._ready.append(event)

    def _wanted(self, job_id: str) -> bool:
        return self._feed.all or job_id in self._feed.job_ids
