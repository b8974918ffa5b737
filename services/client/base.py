"""What a client is before it does anything: opened, closed, and kept from asking the API too early."""

from collections import deque
from time import monotonic
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote
from weakref import WeakSet

import aiohttp
from yarl import URL

from services import __version__
from services.client.models import Job
from services.client.push.watch import Watch
from services.client.rest import Rest

DEFAULT_URL: Final = "http://localhost:8080"
_ENDED_REMEMBERED: Final = 1000
_WAIT: Final = {"wait": "10"}  # the API holds its answer until the job changes, or as many seconds


def user_agent() -> str:
    """Name and version, as requests carry them."""
    return f"cvc/{__version__}"


def job_path(job_id: str, tail: str = "") -> str:
    """Where a job is in the API."""
    return f"/jobs/{quote(job_id, safe='')}{tail}"


class BaseClient:
    """A connection to a service; `Client` adds what can be asked of it."""

    def __init__(self, url: str = DEFAULT_URL, api_key: str | None = None, *, patience_s: float = 60.0) -> None:
        """Nothing is sent yet.

        Args:
            url: the front door; the API is below `/api`, the push channel at `/ws` and `/events`.
            api_key: an API key, or a JWT, where the server asks for one.
            patience_s: how long a request, or a transfer that does not get on, is tried again before it fails.
        """
        self.url = url.rstrip("/")
        self.patience_s = patience_s
        self._api_key = api_key
        self._rest: Rest | None = None
        self._ended: deque[str] = deque(maxlen=_ENDED_REMEMBERED)  # jobs whose end the push channel has told
        self._watches: WeakSet[Watch] = WeakSet()

    async def __aenter__(self) -> Self:
        """Open it."""
        host = URL(self.url).host
        session = aiohttp.ClientSession(
            headers={"User-Agent": user_agent()},
            # A proxy of the environment can't know what this machine calls localhost.
            trust_env=host not in ("localhost", "127.0.0.1", "::1"),
            connector=aiohttp.TCPConnector(limit=0, limit_per_host=64),
        )
        self._rest = Rest(session, self.url, self._api_key, self.patience_s)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Close it, and all that watches."""
        for watch in list(self._watches):
            await watch.aclose()
        rest, self._rest = self._rest, None
        if rest is not None:
            await rest.session.close()

    @property
    def has_key(self) -> bool:
        """True if it has a key to show."""
        return self._api_key is not None

    @property
    def _api(self) -> Rest:
        if self._rest is None:
            raise RuntimeError("the client is not open: use `async with Client(…) as client`")
        return self._rest

    async def get(self, job_id: str) -> Job:
        """A job as it is now."""
        return Job.model_validate((await self._api.call("GET", job_path(job_id))).body)

    async def _caught_up(self, job_id: str) -> Job:
        """The job once the API knows all that the push channel has told of it.

        Events come from the broker to both, and the push channel may be the faster one: what is asked of the API
        right after an end was seen must not fail because the API is a moment behind.
        """
        give_up_at = monotonic() + self.patience_s
        job = await self.get(job_id)
        while job_id in self._ended and not job.done and monotonic() < give_up_at:
            job = Job.model_validate((await self._api.call("GET", job_path(job_id), params=_WAIT)).body)
        if job.done and job_id in self._ended:
            self._ended.remove(job_id)
        return job
