"""Whether a free model should wait for the callers whom it has just answered, who may be back with the next request.

A closed loop of clients otherwise falls into halves: the first few who come back start a batch, and the others find the
model busy. It knows nothing of timers: it says how many requests to wait for, and until when.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from roadworthy.serve.cost_line import CostLine
from roadworthy.serve.lines import Caller, Lines

GAIN = 0.2
# A second in which the model idles is a second of latency, but one in which others may use the processor; one that
# the model works is both. So a saved second is worth this many of waiting.
WORTH = 2.0
# The last few stragglers are not waited for, and a burst that takes half as long again as usual is over.
NEARLY_ALL, PATIENCE = 0.95, 1.5
# The pace is that of the first four fifths, for one straggler would make all look slow.
MOST_BACK = 0.8


class Company:
    """Learns from each answered batch what share of its callers came `back`, and the `gap` from one to the next.

    With W seconds since the last answer and k requests waiting, a batch now takes fixed + k * per_row of the model.
    It pays to wait for one more while the gap is below (W + fixed) / k, the average that a request takes besides its
    own row: Charnov's marginal value theorem (1976), which says when to leave a patch. `fixed` counts `WORTH` times.
    Callers who are not expected are never waited for, so a single client is not.
    """

    __slots__ = ("_answered", "_arrived", "_at", "_left", "back", "gap", "line", "most_delay")

    def __init__(self, line: CostLine, most_delay: float) -> None:
        self.line, self.most_delay = line, most_delay
        self.back, self.gap = 0.0, math.inf
        self._answered = self._arrived = self._left = 0
        self._at = -math.inf

    def forget(self) -> None:
        """The callers of another loop do not come back to this one."""
        self._answered = 0

    def expected(self, now: float, waiting: int) -> tuple[int, float] | None:
        """How many requests are worth waiting for in all, and until when; None where a batch should start now."""
        mates = NEARLY_ALL * self.back * self._answered
        missing = round(self._left + mates - waiting)
        if missing < 1 or self.most_delay <= 0.0:
            return None
        idle, gap = now - self._at, self.gap
        ends = PATIENCE * gap * mates - idle
        if ends <= 0.0 or gap * waiting > idle + WORTH * self.line.fixed:
            return None
        return waiting + missing, now + min(ends, self.most_delay)

    def early(self, lines: Lines) -> int:
        """How many have come since the last answer."""
        return lines.arrived - self._arrived

    def answered(self, now: float, callers: Sequence[Caller], early: int, lines: Lines) -> None:
        """A batch was answered, of whose callers `early` had come since the answer before; -1 if some of those wait."""
        arrived = lines.arrived
        if early >= 0 and self._answered:  # else there is no telling who came first, nor any need to wait
            new = arrived - self._arrived
            self.back += GAIN * (min(1.0, new / self._answered) - self.back)
            self._pace(callers, early, lines, math.ceil(MOST_BACK * min(self._answered, new)))
        self._at, self._answered, self._left, self._arrived = now, len(callers), len(lines), arrived

    def _pace(self, callers: Sequence[Caller], early: int, lines: Lines, place: int) -> None:
        """Learn the gap from when number `place` of those came who came since the last answer."""
        if place < 1:
            return
        if place > early:
            since = lines.since(place - early - 1)
        else:
            since = callers[max(0, len(callers) - early + place - 1)].since
        gap = max(0.0, since - self._at) / place
        self.gap = gap if self.gap == math.inf else self.gap + GAIN * (gap - self.gap)
