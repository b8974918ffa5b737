"""Which transport to try, and when.  Pure: the time comes in, a decision goes out.

The rungs are the transports, the best first.  One that fails twice makes way for the next; one that worked is where
to come back to; and from a lower rung the better ones are tried now and then.
"""

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final

from services.client.backoff import backoff
from services.client.push.terms import Close, Ending, Transport

_TRIES_A_RUNG: Final = 2
_STABLE_S: Final = 10.0  # a feed that lasted so long was a good one
_GOING_AWAY_S: Final = 1.0
_LATER: Final = 3  # 1013 counts as so many failures more
_REFUSALS: Final = 2  # a ticket may have grown old on the way; a second one has not


class NotWelcomeError(Exception):
    """The server does not let this caller watch, by any transport."""


@dataclass(slots=True)
class Ladder:
    """The state of the search for a feed."""

    transports: list[Transport]
    rng: Callable[[], float] = random.random
    rung: int = 0
    failures: int = 0
    _tries_here: int = 0
    _refusals: int = 0
    _probes: int = 0
    _good: set[Transport] = field(default_factory=set)

    @classmethod
    def of(cls, transports: Sequence[Transport], rng: Callable[[], float] = random.random) -> "Ladder":
        """A ladder of these transports, the best first."""
        return cls(list(transports), rng)

    @property
    def transport(self) -> Transport:
        """The one to try, or the one in use."""
        return self.transports[self.rung]

    @property
    def better(self) -> Transport | None:
        """A transport worth another look from where we are."""
        return self.transports[0] if self.rung else None

    def is_up(self, transport: Transport) -> None:
        """The feed has come up over `transport`."""
        if self.transports.index(transport) < self.rung:
            self._probes = 0
        self.rung = self.transports.index(transport)
        self._good.add(transport)
        self._tries_here = self._refusals = 0

    def probe_in(self) -> float:
        """Seconds until the better transports should be tried again: soon if one ever worked."""
        worked = any(transport in self._good for transport in self.transports[: self.rung])
        base, cap = (2.0, 60.0) if worked else (20.0, 300.0)
        self._probes += 1
        return backoff(self._probes - 1, self.rng, base_s=base, cap_s=cap)

    def ended(self, ending: Ending, lasted_s: float | None) -> float:
        """Seconds to wait before the next try.

        Args:
            ending: how the session ended.
            lasted_s: how long it had been up, None if it never came up.

        Raises:
            NotWelcomeError: there is nothing left to try.
        """
        if ending.code == Close.AGAIN:
            return 0.0
        if lasted_s is not None and lasted_s > _STABLE_S:
            self.failures = 0
        if ending.code == Close.NOT_ALLOWED:
            return self._refused(ending)
        if ending.code == Close.WRONG_ORIGIN:
            return self._barred(ending)
        if ending.code == Close.TRY_LATER:
            return max(ending.retry_after_s or 0.0, self._delay(_LATER))
        return self._failed() if lasted_s is None else self._lost(ending)

    def _lost(self, ending: Ending) -> float:
        self.rung = min((self.transports.index(transport) for transport in self._good), default=0)
        asked = _GOING_AWAY_S if ending.code == Close.GOING_AWAY else 0.0
        hint = asked if ending.retry_after_s is None else ending.retry_after_s
        return hint * (0.5 + self.rng()) + self._delay()

    def _failed(self) -> float:
        """Once more, then the next transport, then all of them again after a rest."""
        self._tries_here += 1
        patient = self.failures < len(self.transports)  # later rounds try each transport once
        if patient and self._tries_here < _TRIES_A_RUNG:
            return self._delay()
        self._tries_here = 0
        self.rung = (self.rung + 1) % len(self.transports)
        return 0.0 if self.rung else self._delay(2)

    def _refused(self, ending: Ending) -> float:
        self._refusals += 1
        if self._refusals >= _REFUSALS:
            raise NotWelcomeError(ending.reason)
        return 0.0

    def _barred(self, ending: Ending) -> float:
        self.transports.pop(self.rung)
        self.rung = min(self.rung, len(self.transports) - 1)
        self._tries_here = 0
        if not self.transports:
            raise NotWelcomeError(ending.reason)
        return 0.0

    def _delay(self, more: int = 0) -> float:
        delay = backoff(self.failures + more, self.rng, base_s=0.5, cap_s=30.0)
        self.failures += 1
        return delay
