"""How many requests or labels the first three gates will need, and which change they would notice."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import z_of
from roadworthy.rollout.base import Expected, Need
from roadworthy.rollout.statistics.rates import NoMoreOften
from roadworthy.rollout.statistics.sequential import (
    block_ends,
    difference_of_split,
    evidence,
    mean_bounds,
    rate_bounds,
    spread_in_time,
)

POWER = 0.8
# Two trainings of one model lose much on the same rows: on flights their log losses go together by 0.80 (trained on
# other days) to 0.92 (on other flights of the same days), their AUC by 0.76 and more (`benchmarks/rollout`).
ALIKE = 0.85
_Z = z_of(2 * POWER - 1)
_RUNS, _DEALS, _MOST = 100, 8, 1e9


def need_of_requests(expected: Expected, rule: NoMoreOften, rates: tuple[float, float], counted: float = 1.0) -> Need:
    """The need of a rate rule, and the smallest excess that it fails within the hours of that need.

    `rates` are those of stable and of an equally good candidate; `counted` is the share of the requests that count.
    """
    stable, candidate = rates
    an_hour = expected.share * expected.requests_an_hour * counted
    of_control = 1.0 if expected.paired else (1 - expected.share) / expected.share
    if an_hour <= 0 or of_control <= 0:
        return Need(math.inf, hours=math.inf, because="one of the arms would have no requests")
    rows = _first(lambda n: _passes(rule, n, of_control, stable, candidate), rule.least * max(1.0, 1 / of_control))
    if not math.isfinite(rows):
        return Need(math.inf, hours=math.inf, because=_never(rule.margin))
    hours = rows / an_hour
    excess = _smallest_rate(rule, round(rows), expected, stable) - stable
    effect = Measurement(f"{rule.name}_excess", excess, expected.stable.n, conditions={"power": POWER, "hours": hours})
    because = f"{stable:.2%} of stable's requests {rule.happened}"
    return Need(rows / counted, hours=hours, effect=effect if math.isfinite(excess) else None, because=because)


def _smallest_rate(rule: NoMoreOften, rows: int, expected: Expected, stable: float) -> float:
    """The candidate's lowest rate whose evidence is enough four times in five within so many of its requests."""
    low, high = stable, 1.0
    if _fails(rule, rows, expected, stable, high) < POWER:
        return math.nan
    for _ in range(12):
        middle = math.sqrt(max(low, 1e-6) * high)
        low, high = (low, middle) if _fails(rule, rows, expected, stable, middle) >= POWER else (middle, high)
    return high


@dataclass(frozen=True)
class MeanRule:
    """What decides on a difference of losses: a gate's bounds, and the labels and hours before which it waits."""

    metric: str
    margin: float
    worse: float
    alpha: float
    best_at: int
    least: float
    least_hours: float


def need_of_labels(expected: Expected, rule: MeanRule, value: NDArray[np.float64], plain: NDArray[np.float64]) -> Need:
    """The need of a bound on a difference of losses.

    `plain` (n,) are the losses of recent rows of stable in time order, `value` what is compared of them without pairs.
    """
    labels_an_hour = expected.share * expected.labels_an_hour
    if len(value) < 2 or labels_an_hour <= 0:
        return Need(math.inf, math.inf, math.inf, because="no recent row of stable has a label and an answer")
    spread, worth = _spread_of_gap(expected, value, plain)

    def half(labels: float) -> float:
        n = max(labels * worth, 2.0)
        return mean_bounds(0.0, spread, n, rule.alpha, rule.best_at)[1] + _Z * spread / math.sqrt(n)

    labels = _first(lambda n: half(n) <= rule.margin, rule.least)
    if not math.isfinite(labels):
        return Need(math.inf, math.inf, math.inf, because=_never(rule.margin))
    hours = max(labels / labels_an_hour, rule.least_hours)
    noticed = rule.worse + half(max(labels, labels_an_hour * hours))
    effect = Measurement(f"{rule.metric}_difference", noticed, len(value), conditions={"power": POWER, "hours": hours})
    how = f"supposing losses that go together by {ALIKE:g}" if expected.paired else "comparing the arms without pairs"
    return Need(
        labels * expected.requests_an_hour / expected.labels_an_hour,
        labels,
        hours + expected.label_delay_hours,
        effect,
        f"{how}, with a spread of {spread:.3g} a label",
    )


def _spread_of_gap(expected: Expected, value: NDArray[np.float64], plain: NDArray[np.float64]) -> tuple[float, float]:
    """The spread of one difference, and how many differences a label of the candidate is worth."""
    if expected.paired:
        return max(1e-9, math.sqrt(2 * (1 - ALIKE)) * spread_in_time(plain)), 1.0
    own = math.sqrt(1 - ALIKE) * float(plain.std()) if value is not plain else 0.0
    rng, found = np.random.default_rng(0), []
    # Stable's rows dealt to two arms by chance, several times: one deal has a storm on one arm by accident.
    for _ in range(_DEALS):
        spread = difference_of_split(rng.random(len(value)) < expected.share, value)[1]
        found.append(spread if math.isfinite(spread) else float(value.std()))
    # What the candidate loses in its own way is not foretold from rows that are mostly stable's.
    return max(1e-9, math.hypot(float(np.mean(found)), own)), 1 - expected.share


def _passes(rule: NoMoreOften, rows: float, of_control: float, stable: float, candidate: float) -> bool:
    """Whether an equally good candidate passes at `rows` requests of its own four times in five."""
    rng, of_stable = np.random.default_rng(0), round(rows * of_control)
    drawn = zip(
        rng.binomial(round(rows), candidate, _RUNS).tolist(),
        rng.binomial(of_stable, stable, _RUNS).tolist(),
        strict=True,
    )
    each = (1 - rule.confidence) / 2
    highs: dict[int, float] = {}
    lows: dict[int, float] = {}
    passed = 0
    for hits, of_others in drawn:
        if hits not in highs:
            highs[hits] = rate_bounds(hits, round(rows), each)[1]
        if of_others not in lows:
            lows[of_others] = rate_bounds(of_others, of_stable, each)[0]
        passed += highs[hits] - lows[of_others] <= rule.margin
    return passed >= POWER * _RUNS


def _fails(rule: NoMoreOften, rows: int, expected: Expected, stable: float, candidate: float) -> float:
    """How often the evidence is enough within `rows` requests of the candidate."""
    rng = np.random.default_rng(0)
    if expected.paired:
        apart = stable * (1 - candidate) + candidate * (1 - stable)
        n = min(max(1, round(rows * apart)), 5_000)
        ones, worse = np.ones((_RUNS, n)), rng.random((_RUNS, n)) < candidate * (1 - stable) / max(apart, 1e-12)
        logs = evidence(worse, ones, ones, 2 * ones)
    else:
        ends = block_ends(round(rows / expected.share))
        if not len(ends):
            return 0.0
        n_all = np.broadcast_to(np.diff(ends, prepend=0), (_RUNS, len(ends)))
        mine = rng.binomial(n_all, expected.share)
        hit = rng.binomial(mine, candidate)
        logs = evidence(hit, hit + rng.binomial(n_all - mine, stable), mine, n_all)
    return float((logs.max(axis=1) >= -math.log(rule.alpha)).mean())


def _first(enough: Callable[[float], bool], least: float) -> float:
    """The smallest number from `least` on that is enough, to within 3 %; infinite where none is."""
    low = high = max(least, 1.0)
    while not enough(high):
        low, high = high, 2 * high
        if high > _MOST:
            return math.inf
    while high > 1.03 * low:
        middle = math.sqrt(low * high)
        low, high = (low, middle) if enough(middle) else (middle, high)
    return high


def _never(margin: float) -> str:
    return f"no number of rows shows that a difference is at most {margin:g}"
