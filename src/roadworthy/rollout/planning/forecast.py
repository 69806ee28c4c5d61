"""How many requests and labels will come, hour by hour, if traffic goes on as the recent rows say."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, tzinfo

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.window import Window
from roadworthy.rollout.arms import requests

HOUR, DAY = 3600.0, 86_400.0
# An hour of the day that was seen for less is given the mean of all hours.
_LEAST_SEEN_HOURS = 0.5
_DELAYS = 40
# As far ahead as anybody plans: what takes longer never comes.
LONGEST_HOURS = 24.0 * 366 * 10


@dataclass(frozen=True)
class Forecast:
    """`hourly` (24,) are requests an hour by hour of the day in `zone`, `labelled` the labels a request will get.

    `delay_hours` are quantiles of how long a label takes, none where no label is known.
    """

    hourly: NDArray[np.float64]
    labelled: float = 0.0
    delay_hours: tuple[float, ...] = ()
    zone: tzinfo = UTC
    rows: int = 0
    span_hours: float = 0.0

    @property
    def requests_an_hour(self) -> float:
        """On average over the day."""
        return float(self.hourly.mean())

    @property
    def labels_an_hour(self) -> float:
        """On average over the day, however long they take."""
        return self.labelled * self.requests_an_hour

    def delay(self, share: float) -> float:
        """The hours within which `share` of the labels are known; 0 where there are none."""
        return float(np.quantile(self.delay_hours, share)) if self.delay_hours else 0.0

    def requests(self, since: float, until: float) -> float:
        """How many come between two times (Unix seconds)."""
        return float(self._upto(np.array([until]), since)[0] - self._upto(np.array([since]), since)[0])

    def labels(self, since: float, until: float) -> float:
        """How many of these requests' labels are known at `until`."""
        if not self.delay_hours or until <= since:
            return 0.0
        asked = np.maximum(until - HOUR * np.array(self.delay_hours), since)
        before = float(self._upto(np.array([since]), since)[0])
        return self.labelled * float((self._upto(asked, since) - before).mean())

    def hours_until_requests(self, count: float, since: float) -> float:
        """The hours after `since` at which `count` requests have come; infinite where they never do."""
        return _first(lambda hours: self.requests(since, since + HOUR * hours), count)

    def hours_until_labels(self, count: float, since: float) -> float:
        """The hours after `since` at which `count` labels of the requests after `since` are known."""
        return _first(lambda hours: self.labels(since, since + HOUR * hours), count)

    def _upto(self, at: NDArray[np.float64], near: float) -> NDArray[np.float64]:
        """Requests since some midnight, which falls out of every difference; `near` says which offset the zone has."""
        local = at + _offset(self.zone, near)
        days, within = np.divmod(local, DAY)
        whole = np.concatenate([[0.0], np.cumsum(self.hourly)])
        return np.asarray(days * whole[-1] + np.interp(within / HOUR, np.arange(25.0), whole))


def forecast(rows: Window, now: float, zone: tzinfo = UTC, span: tuple[float, float] | None = None) -> Forecast:
    """What the rows (in time order, of the release that answers) say of traffic after them.

    `span` is the stretch of time that they were taken from, their first to their last where it is not given.
    """
    asked = requests(rows)
    since, until = span or (float(rows.at.min()), float(rows.at.max()))
    hourly = _by_hour_of_day(asked.at, since, max(until, since + 1.0), zone)
    labelled, delays = _labels(rows, asked, now)
    return Forecast(hourly, labelled, delays, zone, asked.n, (until - since) / HOUR)


def _by_hour_of_day(at: NDArray[np.float64], since: float, until: float, zone: tzinfo) -> NDArray[np.float64]:
    came = np.bincount((((at + _offset(zone, since)) % DAY) // HOUR).astype(np.int64), minlength=24)
    seen = np.array([_covered(hour, since + _offset(zone, since), until + _offset(zone, since)) for hour in range(24)])
    mean = len(at) / ((until - since) / HOUR)
    return np.where(seen >= _LEAST_SEEN_HOURS, came / np.maximum(seen, _LEAST_SEEN_HOURS), mean)


def _covered(hour: int, since: float, until: float) -> float:
    """How many hours of the stretch fall into one hour of the day."""

    def before(at: float) -> float:
        days, within = divmod(at, DAY)
        return days + min(max(within / HOUR - hour, 0.0), 1.0)

    return before(until) - before(since)


def _labels(rows: Window, asked: Window, now: float) -> tuple[float, tuple[float, ...]]:
    """Labels a request, and quantiles of their delay, from rows that are old enough to have theirs."""
    known = ~np.isnan(rows.labels)
    if not known.any():
        return 0.0, ()
    at = rows.at if rows.known_at is None else np.where(np.isnan(rows.known_at), rows.at, rows.known_at)
    delays = np.maximum(at[known] - rows.at[known], 0.0) / HOUR
    old = now - HOUR * float(np.quantile(delays, 0.9))
    mature = int((asked.at <= old).sum())
    labelled = (known & (rows.at <= old)).sum() / mature if mature else known.sum() / asked.n
    middles = (np.arange(_DELAYS) + 0.5) / _DELAYS
    return float(labelled), tuple(np.quantile(delays, middles).tolist())


def _offset(zone: tzinfo, at: float) -> float:
    """Seconds that the clock of `zone` is ahead of UTC at a time."""
    ahead = datetime.fromtimestamp(at, zone).utcoffset()
    return 0.0 if ahead is None else ahead.total_seconds()


def _first(count: Callable[[float], float], wanted: float) -> float:
    """Where a count that never falls reaches `wanted`."""
    if wanted <= 0:
        return 0.0
    if not math.isfinite(wanted) or count(LONGEST_HOURS) < wanted:
        return math.inf
    low, high = 0.0, 1.0
    while count(high) < wanted:
        low, high = high, 2 * high
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if count(middle) < wanted else (low, middle)
    return high
