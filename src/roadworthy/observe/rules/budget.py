"""Alarms when answers cost more than was agreed."""

from __future__ import annotations

import math
from dataclasses import dataclass
from statistics import NormalDist
from typing import Literal

from roadworthy.core.measure import Measurement, Requirement, Verdict, judge
from roadworthy.core.stats import nothing
from roadworthy.observe.base import rule
from roadworthy.observe.counts.rollups import Series


@rule("budget")
@dataclass(frozen=True)
class Budget:
    """Alarms when 1,000 answers of the last hours cost more than `usd_per_1k`.

    Answers whose cost nobody knows are left out, and not counted as free. The interval is so wide (`alpha`) that a
    cost at the bound is not called above it in years of looking every minute. It passes once the interval lies below.
    """

    usd_per_1k: float = 1.0
    hours: float = 24.0
    alpha: float = 1e-7
    least_answers: int = 30
    where: str = ""
    severity: Literal["page", "ticket"] = "ticket"

    def __post_init__(self) -> None:
        if not self.usd_per_1k > 0:
            raise ValueError(f"`usd_per_1k` must be above 0, got {self.usd_per_1k!r}")

    @property
    def title(self) -> str:
        """What its alarms are called."""
        return "budget"

    @property
    def days(self) -> float:
        """How far back it looks."""
        return self.hours / 24

    def __call__(self, series: Series, now: float) -> Verdict:
        """The cost of the last hours against the bound."""
        rows = series.within(now - 3600 * self.hours, now)
        n, total, squares = (float(column[rows].sum()) for column in series.number("usd"))
        required = Requirement("usd_per_1k", at_most=self.usd_per_1k, unit="USD")
        if n < self.least_answers:
            return judge(nothing("usd_per_1k", "USD"), required)
        each = total / n
        spread = math.sqrt(max(0.0, squares / n - each * each) / n)
        half = NormalDist().inv_cdf(1 - self.alpha / 2) * spread
        low, high = (1000 * bound for bound in (each - half, each + half))
        conditions = {"confidence": 1 - self.alpha, "hours": self.hours}
        return judge(Measurement("usd_per_1k", 1000 * each, int(n), low, high, "USD", "", conditions), required)
