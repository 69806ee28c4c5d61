"""An e-detector: hears errors or losses between 0 and 1, and seldom cries wolf, by a proof rather than by tuning."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from roadworthy.observe.base import stream

Side = Literal["up", "down", "both"]

BETS = 16
# The share of alarms that a badly learnt mean may cause; the threshold pays for it.
MISLEARNT = 0.05
# A mean of 0 would let a single error prove any change.
LEAST_MEAN = 1e-4


@stream("e_detector")
@dataclass(frozen=True)
class EDetector:
    """Alarms when the mean of values between 0 and 1 rose; false alarms lie 1/`alpha` values apart on average.

    Sums of e-processes that bet against "the mean is `mean` at most", one begun at each value (Shiryaev-Roberts) or
    only the best of them (CUSUM), mixed over 16 sizes of bets (Shin, Ramdas and Rinaldo 2022, "E-detectors"). The
    guarantee needs no more than that each value's mean, given those before it, is at most `mean`: values may depend on
    each other, and be of any law. `side` says whether a fall is a change too. A `mean` that was found on `rows` values
    (0: it is known), or is learnt from the first `learn` values, is replaced by a bound that it exceeds in 5 % of
    cases, for which the threshold is raised. `least` is the smallest change that is bet on.
    """

    alpha: float = 1e-4
    mean: float | None = None
    rows: int = 0
    learn: int = 2000
    side: Side = "up"
    least: float = 0.02
    best_only: bool = False

    def __post_init__(self) -> None:
        if not 0 < self.alpha < 1:
            raise ValueError(f"`alpha` must be between 0 and 1, got {self.alpha!r}")
        if self.mean is not None and not 0 <= self.mean <= 1:
            raise ValueError(f"`mean` must be between 0 and 1, as the values are, got {self.mean!r}")
        if self.mean is None and self.learn < 1:
            raise ValueError(f"without a `mean`, `learn` must be at least 1, got {self.learn!r}")
        if not 0 < self.least < 1:
            raise ValueError(f"`least` must be between 0 and 1, got {self.least!r}")

    def begin(self) -> Bets:
        """A listener that has heard nothing."""
        return Bets(self)

    @property
    def threshold(self) -> float:
        """What the e-detector must reach: 1/`alpha`, and more where the mean has to be learnt."""
        known = self.mean is not None and not self.rows
        return 1 / self.alpha if known else 1 / (self.alpha * (1 - MISLEARNT))

    def bounds(self, mean: float, rows: int) -> tuple[float, float]:
        """The means between which there was no change, given one found on `rows` values (0: known)."""
        if not rows:
            return mean, mean
        error = MISLEARNT / 2 if self.side == "both" else MISLEARNT
        return 1 - upper_bound(1 - mean, rows, error), upper_bound(mean, rows, error)


class Bets:
    """What an e-detector has heard: while it learns the values' sum, then the wealth of each bet."""

    def __init__(self, plan: EDetector) -> None:
        self._plan = plan
        self._threshold = plan.threshold
        self._start()

    def add(self, value: float) -> bool:
        """Hear one value; True at an alarm. Raises ValueError for one that is not between 0 and 1."""
        if not 0.0 <= value <= 1.0:
            raise ValueError(f"values must be between 0 and 1 (errors, or losses over their bound), got {value!r}")
        if self._learning:
            self._learn(value)
            return False
        wealth = self._wealth
        if self._plan.best_only:
            np.maximum(wealth, self._stakes, out=wealth)
        else:
            wealth += self._stakes
        np.multiply(self._slopes, value, out=self._factors)
        self._factors += self._offsets
        wealth *= self._factors
        if wealth.dot(self._ones) < self._threshold:
            return False
        self._start()
        return True

    def _start(self) -> None:
        self._heard, self._sum = 0, 0.0
        self._learning = self._plan.mean is None
        if self._plan.mean is not None:
            self._place(*self._plan.bounds(self._plan.mean, self._plan.rows))

    def _learn(self, value: float) -> None:
        self._heard, self._sum = self._heard + 1, self._sum + value
        if self._heard == self._plan.learn:
            self._learning = False
            self._place(*self._plan.bounds(self._sum / self._heard, self._heard))

    def _place(self, low: float, high: float) -> None:
        """The bets: factor = offset + slope x value, whose mean is at most 1 while there was no change."""
        up, down = bets_against(high, self._plan.least), bets_against(1 - low, self._plan.least)
        parts = []
        if self._plan.side != "down":
            parts.append((1 - up * max(high, LEAST_MEAN), up))
        if self._plan.side != "up":
            parts.append((1 + down * (1 - max(1 - low, LEAST_MEAN)), -down))
        self._offsets, self._slopes = (np.concatenate(column) for column in zip(*parts, strict=True))
        self._wealth, self._factors = np.zeros(len(self._slopes)), np.zeros(len(self._slopes))
        self._stakes, self._ones = np.full(len(self._slopes), 1 / len(self._slopes)), np.ones(len(self._slopes))


def bets_against(mean: float, least: float) -> NDArray[np.float64]:
    """Bets (16,) against a mean: from the best one for a rise by `least` to nearly all that one has."""
    mean = min(max(mean, LEAST_MEAN), 1 - LEAST_MEAN)
    most = 0.95 / mean
    first = min(least / (mean * (1 - mean)), most / 2)
    return np.geomspace(first, most, BETS)


def upper_bound(mean: float, n: int, error: float) -> float:
    """What the true mean of n independent values between 0 and 1 exceeds with probability at most `error`.

    By the relative entropy between the two means (Hoeffding 1963, theorem 1), which holds for any law.
    """
    low, high = mean, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if n * _entropy(mean, middle) < -math.log(error) else (low, middle)
    return high


def _entropy(found: float, true: float) -> float:
    parts = ((found, true), (1 - found, 1 - true))
    return sum(p * math.log(p / q) if p > 0 and q > 0 else (math.inf if p > 0 else 0.0) for p, q in parts)
