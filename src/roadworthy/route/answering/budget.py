"""A Budget bounds the dollars of any hour and of any day, counting what other processes spend of it too."""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Callable

MINUTE = 60.0
HOUR_MINUTES, DAY_MINUTES = 60, 1440


class Budget:
    """Says whether something of a price may be bought now; 0 is no limit.

    What is reserved counts at once, for many ask meanwhile, and is settled at what it came to; what came to more than
    was reserved can exceed the budget by that difference. Minutes are counted whole, so that no hour is ever above.
    What others spend counts as `hear` was told last: a Budget is a Spender (`core/spending.py`).
    """

    def __init__(
        self, name: str, now: Callable[[], float], usd_per_hour: float = 0.0, usd_per_day: float = 0.0
    ) -> None:
        self.name, self._now = name, now
        self._hour, self._day = _Window(HOUR_MINUTES, usd_per_hour), _Window(DAY_MINUTES, usd_per_day)
        self._windows = [window for window in (self._hour, self._day) if window.most < math.inf]
        self._reserved = 0.0
        self.total = 0.0

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r}, {self.spent:.6g} usd within the hour)"

    @property
    def bounded(self) -> bool:
        """Is there a limit at all?"""
        return bool(self._windows)

    @property
    def spent(self) -> float:
        """US dollars within the last hour, here and elsewhere; 0 where nothing bounds an hour."""
        return self._hour.spent(self._minute)

    def allows(self, usd: float) -> bool:
        """Is there room for something of this price?"""
        minute, more = self._minute, self._reserved + usd
        return all(window.spent(minute) + more <= window.most * (1 + 1e-9) for window in self._windows)

    def reserve(self, usd: float) -> None:
        """Something begins that may cost as much."""
        self._reserved += usd

    def settle(self, reserved: float, usd: float) -> None:
        """It ended, and cost this much."""
        self._reserved = max(0.0, self._reserved - reserved)
        self._spend(usd)

    def pay(self, usd: float) -> bool:
        """Is there room, which is then spent?"""
        may = self.allows(usd)
        if may:
            self._spend(usd)
        return may

    def hear(self, hour: float, day: float) -> None:
        """What all others spent within the last hour and the last day."""
        self._hour.elsewhere, self._day.elsewhere = hour, day

    def _spend(self, usd: float) -> None:
        self.total += usd
        for window in self._windows:
            window.add(self._minute, usd)

    @property
    def _minute(self) -> int:
        return int(self._now() // MINUTE)


class _Window:
    """What was spent within so many minutes and the one that has begun, and the most that may be."""

    __slots__ = ("_buckets", "_minutes", "_usd", "elsewhere", "most")

    def __init__(self, minutes: int, most: float) -> None:
        self._minutes, self.most = minutes, most or math.inf
        self._buckets: deque[tuple[int, float]] = deque()
        self._usd = self.elsewhere = 0.0

    def spent(self, minute: int) -> float:
        buckets, oldest = self._buckets, minute - self._minutes
        while buckets and buckets[0][0] < oldest:
            self._usd -= buckets.popleft()[1]
        if not buckets:
            self._usd = 0.0
        return self._usd + self.elsewhere

    def add(self, minute: int, usd: float) -> None:
        before = self._buckets.pop()[1] if self._buckets and self._buckets[-1][0] == minute else 0.0
        self._buckets.append((minute, before + usd))
        self._usd += usd
