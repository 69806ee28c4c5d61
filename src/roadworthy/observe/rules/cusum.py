"""Alarms on a slow shift: small deviations from the habit of the week that all go one way add up."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.observe.base import rule
from roadworthy.observe.counts.hours import WEEK, Usual, metric_of, usual, weeks_before
from roadworthy.observe.counts.rollups import Series
from roadworthy.observe.counts.tally import HOUR

if TYPE_CHECKING:
    from numpy.typing import NDArray

# One wild hour says nothing about a slow shift; it counts as this many spreads at most.
_WILD = 3.0
_UPWARD = ("errors", "p50", "p95", "p99")


@rule("cusum")
@dataclass(frozen=True)
class Cusum:
    """Alarms when p99, errors or a mean output creeps away from the past weeks, too slowly for a single hour.

    The cumulative sum of Page (1954) over the last seven days of hours, each standardised by its hour of the week in
    the weeks before, its dependence on the hour before taken out. `slack` is half the shift (in spreads) that it is
    made for. The bound follows from `false_alarms_a_week` by Siegmund's formula for the average run length (1985), and
    holds for normal noise; what it is on bursty traffic, `benchmarks/alerts.py` measures. It passes at half the bound.
    """

    metric: str = "p99"
    slack: float = 0.25
    least: float = 0.05
    false_alarms_a_week: float = 0.02
    weeks: int = 4
    least_weeks: int = 3
    where: str = ""
    severity: Literal["page", "ticket"] = "ticket"

    def __post_init__(self) -> None:
        if not 3 <= self.least_weeks <= self.weeks:
            raise ValueError(f"`least_weeks` must be 3 or more and at most `weeks`, got {self.least_weeks!r}")
        if not self.slack > 0 or not self.false_alarms_a_week > 0:
            raise ValueError(f"`slack` and `false_alarms_a_week` must be above 0, got {self!r}")

    @property
    def title(self) -> str:
        """What its alarms are called."""
        return f"cusum-{self.metric}"

    @property
    def days(self) -> float:
        """How far back it looks."""
        return 7.0 * (self.weeks + 1) + 1

    @property
    def bound(self) -> float:
        """The sum at which it alarms."""
        return bound_of(self.slack, WEEK / self.false_alarms_a_week * self._sides)

    def __call__(self, series: Series, now: float) -> Verdict:
        """The verdict on the last seven days of whole hours before `now`."""
        first = int(now // HOUR) - WEEK
        weeks = weeks_before(series, first, self.weeks)
        if weeks < self.least_weeks:
            return Verdict("wait", f"{weeks} of {self.least_weeks} weeks are known before the last one", self.title)
        hours = metric_of(series, self.metric, first - WEEK * weeks, WEEK * (weeks + 1))
        habit = usual(hours.scaled[:-WEEK], hours.weight[:-WEEK])
        up, down = sums(hours.scaled[-WEEK:], hours.weight[-WEEK:], habit, self.slack)
        if not np.isfinite(habit.past).any() or not np.isfinite(hours.scaled[-WEEK:]).any():
            return Verdict("wait", f"too few hours with {self.metric} to compare with", self.title)
        found = float(up) if self._sides == 1 else max(float(up), float(down))
        day, before = _mean(hours.value[-24:]), _mean(hours.value[:-WEEK])
        evidence = (
            Measurement(f"{self.metric} of the last day", day, 24, unit=hours.unit),
            Measurement(f"{self.metric} of the weeks before", before, WEEK * weeks, unit=hours.unit),
            Measurement(
                "cusum", found, WEEK, conditions={"bound": self.bound, "false_alarms_a_week": self.false_alarms_a_week}
            ),
        )
        told = (
            f"{self.metric} creeps: {day:.4g} in the last day, {before:.4g} in the weeks before "
            f"(sum {found:.1f}, bound {self.bound:.1f})"
        )
        if found > self.bound and abs(day - before) >= self.least * abs(before):
            return Verdict("fail", told, self.title, evidence)
        calm = found <= self.bound / 2
        return Verdict(
            "pass" if calm else "wait", told if not calm else f"{self.metric} keeps to its habit", self.title, evidence
        )

    @property
    def _sides(self) -> int:
        return 1 if self.metric in _UPWARD else 2


def sums(
    run: NDArray[np.float64], weight: NDArray[np.float64], habit: Usual, slack: float
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The cumulative sums, upward and downward, at the end of a week of hours (..., 168), begun at its start."""
    spread = np.concatenate([habit.spread] * 7, axis=-1)
    z = np.clip(np.nan_to_num((run - habit.middle) * weight / spread), -_WILD, _WILD)
    past = np.clip(np.nan_to_num(habit.past), -_WILD, _WILD)
    follows = (past[..., 1:] * past[..., :-1]).sum(-1) / np.maximum((past * past).sum(-1), 1e-9)
    follows = np.clip(follows, 0.0, 0.95)[..., None]
    before = np.concatenate([np.zeros_like(z[..., :1]), z[..., :-1]], axis=-1)
    fresh = (z - follows * before) / np.sqrt(1 - follows**2)
    return _reflected(fresh - slack), _reflected(-fresh - slack)


def bound_of(slack: float, run_length: float) -> float:
    """The bound at which a one-sided sum of normal noise alarms once in `run_length` steps (Siegmund 1985, 2.51)."""
    low, high = 0.0, 200.0
    for _ in range(60):
        middle = (low + high) / 2
        exponent = 2 * slack * (middle + 1.166)
        length = (math.exp(exponent) - exponent - 1) / (2 * slack * slack)
        low, high = (middle, high) if length < run_length else (low, middle)
    return high


def _reflected(steps: NDArray[np.float64]) -> NDArray[np.float64]:
    """Where max(0, sum + step), step after step, ends: how far the plain sum is above its lowest point."""
    total = np.cumsum(steps, axis=-1)
    return np.asarray(total[..., -1] - np.minimum(total.min(axis=-1), 0.0))


def _mean(values: NDArray[np.float64]) -> float:
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan
