"""How long to wait before another try, so that clients cut off together do not come back together."""

import random
from collections.abc import Callable
from dataclasses import dataclass

BASE_S = 0.25
CAP_S = 15.0


def backoff(attempt: int, rng: Callable[[], float], *, base_s: float = BASE_S, cap_s: float = CAP_S) -> float:
    """Seconds before try number `attempt` (from 0): doubling from `base_s` to `cap_s`, the upper half random."""
    ceiling = min(cap_s, base_s * 2.0 ** min(attempt, 20))
    return ceiling / 2 + rng() * ceiling / 2


@dataclass(slots=True)
class Patience:
    """When to stop trying: after `limit_s` seconds without any success.  Clocks are the caller's."""

    limit_s: float
    rng: Callable[[], float] = random.random
    failures: int = 0
    failing_since: float | None = None

    def succeeded(self) -> None:
        """Something went well: the count begins again."""
        self.failures = 0
        self.failing_since = None

    def wait_after(self, failed_at: float, retry_after_s: float | None = None) -> float | None:
        """Seconds to wait after a failure at time `failed_at`; None if it is time to give up."""
        if self.failing_since is None:
            self.failing_since = failed_at
        delay = max(backoff(self.failures, self.rng), retry_after_s or 0.0)
        self.failures += 1
        return None if failed_at + delay - self.failing_since > self.limit_s else delay
