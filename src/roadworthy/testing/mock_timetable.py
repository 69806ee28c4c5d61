"""When a mock endpoint has done what: a queue before some servers, and stalls, worked out when a request arrives.

No timer decides anything, so that a server whose loop wakes up a little late still has the capacity that was written.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Sequence

from roadworthy.testing.mock_script import Stall


class Timetable:
    """First come, first served by `servers` in parallel (0: each at once). A request that is left stays in its place.

    >>> table = Timetable(1)
    >>> table.serve(0.0, [0.5]), table.serve(0.1, [0.5, 0.25])
    ([0.5], [1.0, 1.25])
    """

    def __init__(self, servers: int = 0, stall: Stall | None = None, started: float = 0.0) -> None:
        self._servers = servers
        self._free = [-math.inf] * servers
        self._stall, self._started = stall, started

    def serve(self, now: float, steps: Sequence[float]) -> list[float]:
        """When each step of a request that arrives now is done, each taking that many seconds of work."""
        at = max(now, heapq.heappop(self._free)) if self._servers else now
        times = [at := self._after(at, step) for step in steps]
        if self._servers:
            heapq.heappush(self._free, at)
        return times

    def _after(self, at: float, seconds: float) -> float:
        """The time at which `seconds` of work are done that begin at `at`, stalls left out."""
        if self._stall is None:
            return at + seconds
        every, busy = self._stall.every, self._stall.every - self._stall.seconds
        cycle, into = divmod(at - self._started, every)
        if into >= busy:
            cycle, into = cycle + 1, 0.0
        left = busy - into
        if seconds <= left:
            return self._started + cycle * every + into + seconds
        seconds -= left
        whole = math.ceil(seconds / busy) - 1
        return self._started + (cycle + 1 + whole) * every + seconds - whole * busy
