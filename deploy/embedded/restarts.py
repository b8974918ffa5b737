"""When to start a process again that has died, and when to give up: a pure decision."""

from collections.abc import Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class RestartPolicy:
    """Give up at the `max_deaths`-th death within `within_s`; before that, wait twice as long each time."""

    first_delay_s: float = 0.5
    max_delay_s: float = 10.0
    max_deaths: int = 5
    within_s: float = 60.0

    def delay_s(self, deaths: Sequence[float], now: float) -> float | None:
        """Seconds to wait before the next start, or None to give up.

        Args:
            deaths: times of all deaths so far, this one included, on the clock of `now`.
            now: seconds on any steady clock.
        """
        recent = sum(now - death <= self.within_s for death in deaths)
        if recent >= self.max_deaths:
            return None
        return min(self.first_delay_s * 2.0 ** max(recent - 1, 0), self.max_delay_s)
