"""How much one tenant may ask for."""

import math
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from time import monotonic
from typing import Final

from services.common.web import Problem

_MAX_TENANTS: Final = 10_000
_FRESH_S: Final = 1.0
_RETRY_AFTER_S: Final = 5
_NEVER: Final = (0, -math.inf)


def too_many(detail: str, retry_after_s: float) -> Problem:
    """A 429 that says when to come back."""
    return Problem(429, detail, headers={"Retry-After": str(max(1, math.ceil(retry_after_s)))})


class RateLimit:
    """A token bucket a tenant: `rate` requests a second, bursts of two seconds' worth."""

    def __init__(self, rate: float | None, clock: Callable[[], float] = monotonic) -> None:
        self._rate = rate
        self._burst = max(1.0, 2 * (rate or 0))
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def check(self, tenant: str) -> None:
        """Take a token; Problem 429 where there is none."""
        if self._rate is None:
            return
        now = self._clock()
        tokens, then = self._buckets.pop(tenant, (self._burst, now))
        tokens = min(self._burst, tokens + (now - then) * self._rate)
        if tokens < 1:
            self._buckets[tenant] = (tokens, now)
            raise too_many("Too many requests; slow down.", (1 - tokens) / self._rate)
        self._buckets[tenant] = (tokens - 1, now)
        if len(self._buckets) > _MAX_TENANTS:
            self._buckets.popitem(last=False)


class CountLimit:
    """At most `limit` things of a tenant at a time.

    `count(tenant, limit)` asks the database, at most once a second a tenant; what is added in between is counted
    here.  So the limit is kept to within what other gateways add in that second.
    """

    def __init__(
        self,
        limit: float | None,
        count: Callable[[str, int], Awaitable[int]],
        detail: str,
        clock: Callable[[], float] = monotonic,
    ) -> None:
        self._limit = limit
        self._count = count
        self._detail = detail
        self._clock = clock
        self._known: OrderedDict[str, tuple[int, float]] = OrderedDict()

    async def take(self, tenant: str) -> None:
        """Count one more; Problem 429 where that is too many."""
        if self._limit is None:
            return
        number, then = self._known.get(tenant, _NEVER)
        if self._clock() - then > _FRESH_S:
            counted = await self._count(tenant, int(self._limit) + 1)
            number, then = self._known.get(tenant, _NEVER)
            if self._clock() - then > _FRESH_S:  # unless somebody else has counted meanwhile
                number, then = counted, self._clock()
        if number >= self._limit:
            self._known[tenant] = (number, then)
            raise too_many(self._detail, _RETRY_AFTER_S)
        self._known[tenant] = (number + 1, then)
        self._known.move_to_end(tenant)
        if len(self._known) > _MAX_TENANTS:
            self._known.popitem(last=False)
