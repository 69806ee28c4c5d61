"""Better says which way a number is good, and whether two of them differ by more than noise."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing, z_of
from roadworthy.evaluate.base import metric

Standing = Literal["better", "worse", "undecided"]

_LESS = ("_ms", "error_rate", "usd_per_1k", "rss_idle", "rss_peak", "rss_slope", "rss_per_1k")
_MORE = ("_rps", "edges_handled")
# What the certainty of answers is best at. More coverage, larger sets, more rows flagged or sent on: nobody can say.
_KNOWS = {
    **dict.fromkeys(("debiased_ece", "top_label_ece", "classwise_ece", "brier", "aurc", "excess_aurc"), 0.0),
    **dict.fromkeys(("error_auroc", "accuracy_answered", "audit_agreement"), 1.0),
    "usd_per_row": 0.0,
}


@dataclass(frozen=True)
class Noise:
    """What does not count as a change. `alpha` bounds the chance of any false one, over all numbers compared.

    What a machine does varies from run to run by more than any interval of one run says, so that a latency, a rate,
    a price or a size must besides have moved by `machine_share` of what it was.
    """

    alpha: float = 0.05
    machine_share: float = 0.2

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1 or not self.machine_share >= 0:
            given = f"{self.alpha!r} and {self.machine_share!r}"
            raise ValueError(f"`alpha` must be between 0 and 1 and `machine_share` 0 or more, got {given}")

    def of_a_machine(self, before: Measurement, after: Measurement) -> bool:
        """Whether a machine alone may have made this difference."""
        return abs(after.value - before.value) < self.machine_share * abs(before.value)


def best_of(name: str) -> float | None:
    """The value that is best: 1 for an accuracy, 0 for a latency, infinite for a rate, None where nobody can say.

    >>> best_of("auc"), best_of("log_loss"), best_of("p99_ms"), best_of("max_rate_rps"), best_of("base_rate")
    (1.0, 0.0, 0.0, inf, None)
    """
    if name.endswith(_LESS):
        return 0.0
    if name.endswith(_MORE):
        return math.inf
    if name in _KNOWS:
        return _KNOWS[name]
    known = "top_k" if name.removeprefix("top_").isdigit() else name
    best: float | None = getattr(metric.get(known), "best", None) if known in tuple(metric) else None
    return best


def direction(name: str) -> int:
    """1 where more is better, -1 where less is, 0 where nobody can say."""
    best = best_of(name)
    return 0 if best is None else 1 if best > 0 else -1


def goodness(m: Measurement) -> Measurement | None:
    """The number turned so that more is better; None where nobody can say. What is best at 0 counts by its distance."""
    best = best_of(m.name)
    if best is None or best > 0:
        return None if best is None else m
    low, high = sorted((abs(m.low), abs(m.high)))
    nearest = 0.0 if m.low <= 0 <= m.high else low
    return Measurement(m.name, -abs(m.value), m.n, -high, -nearest, m.unit, m.where, m.conditions)


def difference(before: Measurement, after: Measurement, alpha: float = 0.05) -> Measurement:
    """`after` minus `before` of two measurements that know nothing of each other, with an interval at 1 - `alpha`.

    MOVER (Zou & Donner 2008), which needs nothing but the two intervals; other levels by the normal quantile. Of the
    same rows asked twice it is too wide, never too narrow. What is infinite is told apart by its bounds alone.
    """
    name = f"{after.name}_change"
    if not before.n or not after.n or math.isnan(before.value) or math.isnan(after.value):
        return nothing(name, after.unit, after.where)
    told = {"confidence": 1 - alpha}
    moved, n = after.value - before.value, min(before.n, after.n)
    if not math.isfinite(moved):
        moved = 0.0 if before.value == after.value else moved
        bounds = after.low - before.high, after.high - before.low
        return Measurement(name, moved, n, *bounds, after.unit, after.where, told)
    (below, above), (under, over) = _arms(after, alpha), _arms(before, alpha)
    bounds = moved - math.hypot(below, over), moved + math.hypot(above, under)
    return Measurement(name, moved, n, *bounds, after.unit, after.where, told)


def standing(before: Measurement, after: Measurement, alpha: float = 0.05) -> Standing:
    """Whether `after` is better than `before` beyond noise."""
    one, other = goodness(before), goodness(after)
    if one is None or other is None:
        return "undecided"
    found = difference(one, other, alpha)
    return sign_of(found, 1)


def sign_of(change: Measurement, way: int) -> Standing:
    """What an interval says of a change, `way` being 1 where more is better and -1 where less is."""
    if not change.n or not way or math.isnan(change.low) or math.isnan(change.high):
        return "undecided"
    if change.low > 0 or change.high < 0:
        return "better" if (change.low > 0) == (way > 0) else "worse"
    return "undecided"


def _arms(m: Measurement, alpha: float) -> tuple[float, float]:
    """How far the bounds lie below and above the value, at 1 - `alpha` instead of the measurement's own level."""
    confidence = float(m.conditions.get("confidence", 0.95))
    if not confidence > 0:  # bounds that promise nothing, as those of a single search
        return math.inf, math.inf
    scale = z_of(1 - alpha) / z_of(confidence)
    return scale * max(0.0, m.value - m.low), scale * max(0.0, m.high - m.value)
