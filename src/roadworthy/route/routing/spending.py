"""A cap on what comparisons may cost in a clock hour and in a day: what is spent is never more than was allowed."""

from __future__ import annotations

import math

HOUR, DAY = 3600.0, 86_400.0


class Spending:
    """What was spent on comparisons, and what those under way may still cost, in the hour and the day of `now`.

    A comparison is let through only where its worst price fits in; it is reserved before the call and settled after.
    Hours and days are counted on the clock that is handed in, from its zero. A price above the worst that was ever
    seen can exceed the cap by that difference, once.
    """

    def __init__(self, usd_per_hour: float = 0.0, usd_per_day: float = 0.0) -> None:
        self._most = (usd_per_hour or math.inf, usd_per_day or math.inf)
        self._spent = [0.0, 0.0]
        self._stretch = [-1, -1]
        self._reserved = 0.0
        self.refused = 0

    def __repr__(self) -> str:
        return f"Spending({self._spent[0]:.6g} usd this hour, {self._spent[1]:.6g} today)"

    @property
    def spent(self) -> tuple[float, float]:
        """US dollars in the newest hour and in the newest day."""
        return self._spent[0], self._spent[1]

    def allows(self, usd: float | None, now: float) -> bool:
        """May a comparison of this worst price be made now? One whose price nobody knows may not."""
        self._turn(now)
        fits = usd is not None and all(
            spent + self._reserved + usd <= most + 1e-12 for spent, most in zip(self._spent, self._most, strict=True)
        )
        self.refused += not fits
        return fits

    def reserve(self, usd: float) -> None:
        """A comparison begins."""
        self._reserved += usd

    def settle(self, reserved: float, usd: float, now: float) -> None:
        """It ended, and cost this much."""
        self._turn(now)
        self._reserved = max(0.0, self._reserved - reserved)
        self._spent = [spent + usd for spent in self._spent]

    def _turn(self, now: float) -> None:
        for place, seconds in enumerate((HOUR, DAY)):
            stretch = int(now // seconds)
            if stretch != self._stretch[place]:
                self._stretch[place], self._spent[place] = stretch, 0.0
