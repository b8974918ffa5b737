"""Those who wait for a job to change."""

import asyncio
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager

from services.gateway.store.writer import Committed


class Waiters:
    """Wakes long polls after the commit that changed their job."""

    def __init__(self) -> None:
        self._events: defaultdict[str, set[asyncio.Event]] = defaultdict(set)
        self.closed = False

    def committed(self, commit: Committed) -> None:
        """Wake those whose jobs have changed."""
        if self._events:
            for job_id in commit.changed:
                for event in self._events.get(job_id, ()):
                    event.set()

    def close(self) -> None:
        """Wake everybody for good: the gateway is about to stop, and answers are due."""
        self.closed = True
        for events in self._events.values():
            for event in events:
                event.set()

    @contextmanager
    def watching(self, job_id: str) -> Iterator[asyncio.Event]:
        """An event that is set at every change of `job_id`; to be taken before looking at the job."""
        event = asyncio.Event()
        self._events[job_id].add(event)
        try:
            yield event
        finally:
            self._events[job_id].discard(event)
            if not self._events[job_id]:
                del self._events[job_id]
