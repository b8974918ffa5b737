"""Requests to the API: JSON in and out, problems as exceptions, another try where that can do no harm."""

import asyncio
import ssl
from collections.abc import Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import aiohttp
import orjson
from yarl import URL

from services.client.backoff import Patience
from services.client.errors import ApiError, UnreachableError, api_error

_CONFLICT: Final = 409
_TOO_MANY: Final = 429  # of these errors the only one that surely comes from before anything was done
_PASSING: Final = frozenset({_TOO_MANY, 502, 503, 504})
_IDEMPOTENT: Final = frozenset({"GET", "PUT", "DELETE"})


@dataclass(frozen=True, slots=True)
class Reply:
    """A good answer: `body` is its JSON, None where there was none."""

    status: int
    headers: Mapping[str, str]
    body: Any


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    url: URL
    params: Mapping[str, str] | None
    headers: Mapping[str, str]
    body: bytes | None
    timeout: aiohttp.ClientTimeout
    accept: Collection[int]


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds in a Retry-After header, None without one or for a date."""
    with suppress(KeyError, ValueError):
        return max(0.0, float(headers["Retry-After"]))
    return None


async def problem_of(response: aiohttp.ClientResponse, *, repeated: bool = False) -> ApiError:
    """The error that a response with a status of 400 or above stands for."""
    problem: object = None
    with suppress(orjson.JSONDecodeError, aiohttp.ClientError):
        problem = orjson.loads(await response.read())
    return api_error(response.status, problem, retry_after_s=retry_after(response.headers), repeated=repeated)


class Rest:
    """One server, and how to talk to it.

    `session` is shared with the transfers and the push channel.  The key goes to the API alone, never to the
    presigned addresses of the store.
    """

    def __init__(self, session: aiohttp.ClientSession, url: str, api_key: str | None, patience_s: float) -> None:
        """Where the front door is, the key if there is one, and how many seconds a failing request is repeated."""
        self.session = session
        self.url = URL(url.rstrip("/"))
        self.api_key = api_key
        self.patience_s = patience_s

    @property
    def headers(self) -> dict[str, str]:
        """What tells the API who is asking."""
        return {"Authorization": f"Bearer {self.api_key}"} if self.api_key else {}

    def address(self, path: str) -> URL:
        """Where `path` of the API is; `path` is percent-encoded already."""
        return URL(f"{self.url}/api{path}", encoded=True)

    async def call(
        self,
        method: str,
        path: str,
        *,
        json: Any = None,
        params: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        repeatable: bool | None = None,
        timeout_s: float = 30.0,
        patience_s: float | None = None,
        accept: Collection[int] = (),
        conflict_passes: bool = False,
    ) -> Reply:
        """Send a request and wait for its answer, again and again while that makes sense.

        Args:
            method: GET, POST, …
            path: below `/api`, percent-encoded.
            json: the body.
            params: the query.
            headers: more headers.
            repeatable: True if doing it twice is as good as once; by default what HTTP says of the method.
            timeout_s: seconds for one try.
            patience_s: seconds of trying again, the client's own by default.
            accept: statuses of 400 and above that are answers all the same.
            conflict_passes: a 409 after a lost answer means that the lost request is still being worked on.

        Raises:
            ApiError: the server refused.
            UnreachableError: it could not be reached in all that time.
        """
        safe = method in _IDEMPOTENT if repeatable is None else repeatable
        content = {} if json is None else {"Content-Type": "application/json"}
        request = _Request(
            method=method,
            url=self.address(path),
            params=params,
            headers={"Accept": "application/json", **content, **self.headers, **(headers or {})},
            body=None if json is None else orjson.dumps(json),
            timeout=aiohttp.ClientTimeout(total=timeout_s, sock_connect=10),
            accept=accept,
        )
        loop = asyncio.get_running_loop()
        patience = Patience(self.patience_s if patience_s is None else patience_s)
        lost = False
        while True:
            hint: float | None = None
            failure: ApiError | UnreachableError
            try:
                return await self._once(request, repeated=lost)
            except ApiError as error:
                not_done = error.status == _TOO_MANY
                in_work = conflict_passes and lost and error.status == _CONFLICT
                may_repeat = not_done or in_work or (safe and error.status in _PASSING)
                lost = lost or not not_done
                failure, hint = error, error.retry_after_s
            except (aiohttp.ClientError, TimeoutError, OSError) as error:
                never_sent = isinstance(error, aiohttp.ClientConnectorError)
                may_repeat = (safe or never_sent) and not _hopeless(error)
                lost = lost or not never_sent
                failure = UnreachableError(str(self.url.with_user(None)), _words(error))
            delay = patience.wait_after(loop.time(), hint) if may_repeat else None
            if delay is None:
                raise failure
            await asyncio.sleep(delay)

    async def _once(self, request: _Request, *, repeated: bool) -> Reply:
        async with self.session.request(
            request.method,
            request.url,
            params=request.params,
            headers=request.headers,
            data=request.body,
            timeout=request.timeout,
            allow_redirects=False,
        ) as response:
            if response.status >= 400 and response.status not in request.accept:  # noqa: PLR2004 -- errors
                raise await problem_of(response, repeated=repeated)
            data = await response.read()
            return Reply(response.status, response.headers.copy(), _decoded(data, response))


def _decoded(data: bytes, response: aiohttp.ClientResponse) -> Any:
    if not data:
        return None
    try:
        return orjson.loads(data)
    except orjson.JSONDecodeError:
        detail = "What answers there is not the conversion service; check the URL."
        raise ApiError(response.status, detail) from None


def _hopeless(error: BaseException) -> bool:
    """True for what another try cannot change: a certificate that is not good, an address that is none."""
    return isinstance(error, aiohttp.ClientSSLError | ssl.SSLError | aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError)


def _words(error: BaseException) -> str:
    if isinstance(error, TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientSSLError):
        return "its certificate is not to be trusted"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "there is no such host"
    if isinstance(error, aiohttp.ClientConnectorError):
        return "connection refused" if isinstance(error.os_error, ConnectionRefusedError) else "no connection"
    if isinstance(error, aiohttp.InvalidURL | aiohttp.NonHttpUrlClientError):
        return "that is not an address such as http://host:8080"
    return "the connection broke"
