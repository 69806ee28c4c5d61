"""Alarms when an hour is unlike the same hour of past weeks, beyond what chance makes of such hours."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.observe.base import rule
from roadworthy.observe.counts.hours import WEEK, alarm_bound, deviation, metric_of, usual, weeks_before
from roadworthy.observe.counts.rollups import Series
from roadworthy.observe.counts.tally import HOUR

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Weeks without any noise would make every change a great one.
LEAST_BOUND = 3.0
# A tail that is fitted to some hundred hours, which hang together, promises about this much too little
# (benchmarks/alerts.py).
_HOPEFUL = 4.0
# Of these only more is worse.
_UPWARD = ("errors", "p50", "p95", "p99")


@rule("seasonal")
@dataclass(frozen=True)
class Seasonal:
    """Alarms when traffic, errors, p99 or a mean output is unlike this hour of past weeks.

    A robust z: the last whole hour against the median of its hour of the week, over the median absolute deviation of
    that hour of the day and its neighbours. The bound is fitted to the tail of the past, so that an hour without
    meaning alarms `false_alarms_a_week` on average; a change below `least` (relative) is none. It waits until there
    are `least_weeks`, looks back `weeks` at most, and passes when z is back at half the bound.
    """

    metric: str = "traffic"
    least: float = 0.2
    false_alarms_a_week: float = 0.05
    weeks: int = 5
    least_weeks: int = 3
    where: str = ""
    severity: Literal["page", "ticket"] = "ticket"

    def __post_init__(self) -> None:
        if not 3 <= self.least_weeks <= self.weeks:
            raise ValueError(f"`least_weeks` must be 3 or more and at most `weeks`, got {self.least_weeks!r}")

    @property
    def title(self) -> str:
        """What its alarms are called."""
        return f"seasonal-{self.metric}"

    @property
    def days(self) -> float:
        """How far back it looks."""
        return 7.0 * self.weeks + 1

    @property
    def alpha(self) -> float:
        """The chance of a false alarm that one hour may have, as the fitted tail is to give it."""
        return self.false_alarms_a_week / WEEK / _HOPEFUL

    def __call__(self, series: Series, now: float) -> Verdict:
        """The verdict on the last whole hour before `now`; it is the same one all hour long."""
        hour = int(now // HOUR) - 1
        weeks = weeks_before(series, hour, self.weeks)
        if weeks < self.least_weeks:
            return Verdict("wait", f"{weeks} of {self.least_weeks} weeks of habits are known", self.title)
        hours = metric_of(series, self.metric, hour - WEEK * weeks, WEEK * weeks + 1)
        habit = usual(hours.scaled[:-1], hours.weight[:-1])
        z = float(deviation(hours.scaled[-1], hours.weight[-1], habit))
        one_sided = self.metric in _UPWARD
        bound = float(alarm_bound(habit.past if one_sided else np.abs(habit.past), self.alpha))
        bound = max(bound, LEAST_BOUND)
        if not math.isfinite(z) or not math.isfinite(bound):
            return Verdict("wait", f"too few hours with {self.metric} to compare with", self.title)
        before = _usual_value(hours.value[:-1:WEEK])
        evidence = (
            Measurement(self.metric, float(hours.value[-1]), max(1, weeks), unit=hours.unit),
            Measurement(f"usual_{self.metric}", before, weeks, unit=hours.unit),
            Measurement("z", z, WEEK * weeks, conditions={"bound": bound}),
        )
        now_is = f"{self.metric} of the last hour is {hours.value[-1]:.4g} {hours.unit}, usual is {before:.4g}"
        told = f"{now_is.replace(' 1,', ',')} (z {z:.1f}, bound {bound:.1f})"
        surprising = (z if one_sided else abs(z)) / bound
        if surprising > 1 and _change(float(hours.value[-1]), before) >= self.least:
            return Verdict("fail", told, self.title, evidence)
        return Verdict("pass" if surprising <= 0.5 else "wait", told, self.title, evidence)


def _usual_value(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(np.median(known)) if len(known) else math.nan


def _change(now: float, before: float) -> float:
    """The relative change, of 4 and of 1/4 alike 3."""
    low, high = sorted((abs(now), abs(before)))
    if now * before < 0:
        return math.inf
    return (high - low) / low if low else (math.inf if high else 0.0)
