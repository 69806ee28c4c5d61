"""Alarms when nobody asks any more, at an hour at which somebody always did."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Literal

import numpy as np

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.observe.base import rule
from roadworthy.observe.counts.hours import WEEK, metric_of, weeks_before
from roadworthy.observe.counts.rollups import Series
from roadworthy.observe.counts.tally import HOUR, MINUTE

if TYPE_CHECKING:
    from numpy.typing import NDArray

MINUTES_A_WEEK = 7 * 24 * 60


@rule("silence_of_traffic")
@dataclass(frozen=True)
class SilenceOfTraffic:
    """Alarms when no request came for so long that the past weeks make it no accident.

    What is expected is the least of the usual requests of this hour of the week and its neighbours. Traffic is burstier
    than Poisson's: the chance of none is that of a negative binomial of shape `steadiness` (1: as bursty as a
    geometric law; a great number: Poisson). It alarms where that falls below `false_alarms_a_week` over the looks of a
    week, after `least_minutes` at the earliest, and passes with the first minute that has a request.
    """

    least_minutes: float = 5.0
    steadiness: float = 4.0
    false_alarms_a_week: float = 0.01
    weeks: int = 4
    where: str = ""
    severity: Literal["page", "ticket"] = "page"

    @property
    def title(self) -> str:
        """What its alarms are called."""
        return "silence-of-traffic"

    @property
    def days(self) -> float:
        """How far back it looks."""
        return 7.0 * self.weeks + 1

    @property
    def alpha(self) -> float:
        """The chance of a false alarm that one look may have."""
        return self.false_alarms_a_week / MINUTES_A_WEEK

    def __call__(self, series: Series, now: float) -> Verdict:
        """The verdict on the minutes since the last one with a request."""
        hour = int(now // HOUR)
        weeks = weeks_before(series, hour - 1, self.weeks)
        if not weeks:
            return Verdict("wait", "not a whole week of traffic is known", self.title)
        last = series.at[series.count("requests") > 0].max(initial=int(series.since))
        minutes = max(0.0, (now - last) / MINUTE - 1)
        requests = metric_of(series, "traffic", hour - 1 - WEEK * weeks, WEEK * weeks + 3).value
        usual = float(usual_of(requests[: WEEK * weeks]))
        chance = float(chance_of_none(usual * minutes / 60, self.steadiness))
        evidence = (
            Measurement("silent_minutes", minutes, 1, unit="minutes"),
            Measurement("usual_requests_an_hour", usual, weeks, unit="requests"),
        )
        told = f"no request for {minutes:.0f} minutes, where {usual:.0f} an hour are usual"
        if minutes >= self.least_minutes and chance <= self.alpha:
            return Verdict("fail", told, self.title, evidence)
        if minutes > 1:
            return Verdict("wait", f"{told}: that may be chance (p {chance:.2g})", self.title, evidence)
        return Verdict("pass", "requests come", self.title, evidence)


def usual_of(past: NDArray[np.float64]) -> NDArray[np.float64]:
    """Of whole weeks of hourly requests (..., weeks * 168) that begin an hour early: the least usual of three hours."""
    table = past.reshape(*past.shape[:-1], -1, WEEK)
    return np.asarray(np.median(table[..., :3], axis=-2).min(axis=-1))


def chance_of_none(expected: NDArray[np.float64] | float, steadiness: float) -> NDArray[np.float64]:
    """P(0) of a negative binomial law with this mean and shape (Fisher 1941)."""
    return np.asarray((1 + np.asarray(expected) / steadiness) ** -steadiness)
