"""How many rows may wait: a limit that follows the time spent in the queue, and shrinks while that stands too long."""

from __future__ import annotations

import math

INTERVAL_SECONDS = 0.1


class QueueLimit:
    """Starts at `most`, never falls below `least` (rows), and is looked at once an interval.

    The signal is CoDel's (Nichols and Jacobson, "Controlling queue delay", 2012): the least time in queue of any batch
    in the interval, for a queue that runs empty in between did its work as a buffer. A batch's time is that of its
    youngest request, since the next batch swallows whatever came while the model ran. While the signal is above the
    target, the limit is set to target / signal of what waits, at most halved (the gradient step of Envoy's adaptive
    concurrency and of Netflix's concurrency-limits); else it grows by its square root where somebody was turned away
    for it, and doubles where nobody was. Total latency, on which those two act, would be wrong here: the time of a
    batch grows with its size by design, and a limit on it would fight the batcher.
    """

    __slots__ = ("ends", "least", "most", "rows", "signal", "turned_away")

    def __init__(self, most: int, least: int) -> None:
        self.most, self.least = most, min(least, most)
        self.rows = most
        self.turned_away = False
        self.signal, self.ends = math.inf, -math.inf

    def saw(self, now: float, waited: float, waiting: int, target: float) -> bool:
        """The youngest request of a batch `waited` seconds, with `waiting` rows there. True where `rows` changed."""
        if waited < self.signal:
            self.signal = waited
        if self.ends == -math.inf:
            self.ends = now + INTERVAL_SECONDS
        if now < self.ends:
            return False
        before, signal = self.rows, self.signal
        if signal > target:
            self.rows = max(self.least, int(min(before, waiting) * max(0.5, target / signal)))
        else:
            self.rows = min(self.most, before + (math.isqrt(before) if self.turned_away else before))
        self.signal, self.turned_away, self.ends = math.inf, False, now + INTERVAL_SECONDS
        return self.rows != before
