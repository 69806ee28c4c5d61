"""What is usual at an hour of the week, how far from it an hour is, and how far chance alone would take it.

The functions take the last axis as time and any number of others before it, so that a simulation of many seeds runs
the very code that watches one service.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from roadworthy.observe.counts.rollups import Series
from roadworthy.observe.counts.tally import HOUR

if TYPE_CHECKING:
    from numpy.typing import NDArray

WEEK = 168
# The median of |normal| is 1 / 1.4826.
_MAD = 1.4826
# The tail is fitted between these shares of the past hours that lie beyond.
_TAIL, _FAR = 0.08, 0.02


class Usual(NamedTuple):
    """Of each of the 168 columns of a week what is usual (..., 168), of each of 24 hours the spread (..., 24).

    `past` are the deviations of the past hours in units of their spread (..., weeks * 168), in the order of time.
    """

    middle: NDArray[np.float64]
    spread: NDArray[np.float64]
    past: NDArray[np.float64]


class HourlyMetric(NamedTuple):
    """A metric hour by hour on a scale on which its noise is even, with the weight of each hour.

    `value` is the metric as people know it, `ratio` says whether `scaled` is its logarithm.
    """

    value: NDArray[np.float64]
    scaled: NDArray[np.float64]
    weight: NDArray[np.float64]
    unit: str = "1"
    ratio: bool = True


def usual(past: NDArray[np.float64], weight: NDArray[np.float64]) -> Usual:
    """The habit in whole weeks of hours (..., weeks * 168), NaN being an hour that says nothing.

    What is usual is the median of the same hour of other weeks; the spread is the median absolute deviation from it
    over all days of the hour and its two neighbours, so that three weeks give 63 deviations and not 3. Each past hour
    is compared with the other weeks only: it must not hide its own deviation.
    """
    weeks = past.shape[-1] // WEEK
    table = past.reshape(*past.shape[:-1], weeks, WEEK)
    away = np.stack([table[..., w, :] - _median(np.delete(table, w, -2), -2) for w in range(weeks)], axis=-2)
    away = away * weight.reshape(table.shape)
    by_hour = away.reshape(*past.shape[:-1], weeks * 7, 24)
    near = np.concatenate([np.roll(by_hour, shift, -1) for shift in (-1, 0, 1)], axis=-2)
    spread = np.maximum(_MAD * _median(np.abs(near), -2), 1e-9)
    return Usual(_median(table, -2), spread, (by_hour / spread[..., None, :]).reshape(past.shape))


def alarm_bound(past: NDArray[np.float64], alpha: float) -> NDArray[np.float64]:
    """What a deviation of no meaning exceeds with a probability of about `alpha`, judged by past ones (or their sizes).

    The tail is taken as exponential (peaks over threshold, Pickands 1975, of shape 0): for normal noise that is
    cautious, for Laplace noise exact. It is laid through two quantiles, so that the incidents that lie in the past do
    not blow it up. (..., hours) gives (...,).
    """
    begin, far = _quantile(past, (1 - _TAIL, 1 - _FAR))
    return np.asarray(begin + (far - begin) / math.log(_TAIL / _FAR) * math.log(_TAIL / alpha))


def deviation(
    now: NDArray[np.float64], weight: NDArray[np.float64], habit: Usual, column: int = 0
) -> NDArray[np.float64]:
    """How far hours are from what is usual in a column of the week, in units of their spread."""
    return np.asarray((now - habit.middle[..., column]) * weight / habit.spread[..., column % 24])


def metric_of(series: Series, metric: str, first: int, hours: int, stage: str = "total") -> HourlyMetric:
    """A metric of a series over so many hours from hour `first` (counted from the epoch) on.

    `traffic`, `errors`, `p50`, `p95`, `p99`, or `outputs.NAME`, `confidence`, `tokens`, `usd` for their means.
    """
    requests = series.hourly(series.count("requests"), first, hours)
    even = np.ones(hours)
    if metric == "traffic":
        return HourlyMetric(requests, np.log(requests + 1.0), even, "requests")
    if metric == "errors":
        return _share(series.hourly(series.count("failed"), first, hours), requests)
    with np.errstate(divide="ignore", invalid="ignore"):
        if metric in ("p50", "p95", "p99"):
            seconds = series.hourly_quantile(float(metric[1:]) / 100, stage, first, hours)
            return HourlyMetric(seconds, np.log(np.maximum(seconds, 1e-9)), even, "s")
        number = series.number(metric)
        value = series.hourly(number.total, first, hours) / series.hourly(number.n, first, hours)
    return HourlyMetric(value, value, even, ratio=False)


def weeks_before(series: Series, hour: int, most: int) -> int:
    """How many whole weeks of the series lie before an hour, `most` at most."""
    if not series.n:
        return 0
    first = -(-int(series.at[0]) // HOUR)
    return max(0, min(most, (hour - first) // WEEK))


def _share(failed: NDArray[np.float64], requests: NDArray[np.float64]) -> HourlyMetric:
    """A share on the arcsine scale, on which its noise depends on n alone (Anscombe 1948)."""
    has = requests > 0
    value = np.where(has, failed / np.maximum(requests, 1.0), np.nan)
    scaled = np.arcsin(np.sqrt((failed + 0.375) / (requests + 0.75)))
    return HourlyMetric(value, np.where(has, scaled, np.nan), 2 * np.sqrt(requests), ratio=False)


def _median(values: NDArray[np.float64], axis: int) -> NDArray[np.float64]:
    """The median of what is no NaN; NaN of nothing."""
    if not np.isnan(values).any():
        return np.asarray(np.median(values, axis=axis))
    return np.asarray(_quantile(np.moveaxis(values, axis, -1), (0.5,))[0])


def _quantile(values: NDArray[np.float64], shares: tuple[float, ...]) -> NDArray[np.float64]:
    """Quantiles over the last axis of what is no NaN; numpy's own warn of slices that are empty."""
    if not np.isnan(values).any():
        return np.asarray(np.quantile(values, shares, axis=-1))
    ordered = np.sort(values, axis=-1)  # NaN come last
    n = np.sum(~np.isnan(values), axis=-1)
    found = []
    for share in shares:
        place = np.maximum(n - 1, 0) * share
        low, high = np.floor(place).astype(int), np.ceil(place).astype(int)
        one, other = (np.take_along_axis(ordered, at[..., None], -1)[..., 0] for at in (low, high))
        found.append(one + (other - one) * (place - low))
    return np.stack(found)
