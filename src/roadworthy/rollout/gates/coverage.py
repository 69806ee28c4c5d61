"""The coverage gate: the candidate's prediction sets must hold the truth as often as promised, and stay small."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.class_names import class_name
from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.arms import failed
from roadworthy.rollout.base import Expected, Need, gate
from roadworthy.rollout.statistics.differences import Allowed, Both, decided, in_rollout, plainly
from roadworthy.rollout.statistics.needing import need_of
from roadworthy.rollout.statistics.numbers import floats
from roadworthy.rollout.statistics.sequential import rate_bounds, spread_in_time


@gate("coverage")
@dataclass(frozen=True)
class Coverage:
    """Fails once the sets are shown to cover over `margin` less than `target`, and than stable's sets do.

    Where the world has moved and stable covers less than it promised too, a candidate is held to what stable does: an
    equally good one must not fail. It also fails once its sets are shown to be over `larger` times the size of
    stable's: a set of everything covers all. Sizes need no labels.

    A set is the record's prediction set, or the interval between the outputs `low` and `high`. `classes` are the names
    that sets use, in the order of the labels' numbers; without them the sets hold the numbers. The bound on the rate
    is the exact mixture bound of `sequential.rate_bounds` on as many rows as the dependence in time leaves.
    """

    rows_since: ClassVar[Literal["stage", "rollout"]] = "rollout"

    target: float = 0.9
    margin: float = 0.03
    larger: float = 1.1
    alpha: float = 0.05
    least: int = 200
    classes: tuple[str, ...] = ()
    low: str = "low"
    high: str = "high"

    def __post_init__(self) -> None:
        if not 0 < self.target < 1:
            raise ValueError(f"`target` must be between 0 and 1, got {self.target!r}")
        if self.larger < 1:
            raise ValueError(f"`larger` is a factor of at least 1, got {self.larger!r}")

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        sets = self._missed(control), self._missed(candidate)
        sizes = self._sizes(control), self._sizes(candidate)
        missed, size = in_rollout(control, candidate, sets, sizes)
        target = self._below_target(sets[1])
        found = [self._shortfall(both, target) for both in missed]
        found += [self._size.measure(both, self.larger) for both in size]
        return decided(found, self._said, "coverage")

    def plan(self, expected: Expected) -> Need:
        """The need of the coverage; sizes, which need no labels, are settled long before."""
        return need_of(expected, self._missed(expected.stable), self._allowed, labelled=True)

    @property
    def _allowed(self) -> Allowed:
        return Allowed("coverage_shortfall", self.margin, self.alpha / 2, self.least)

    @property
    def _size(self) -> Allowed:
        return Allowed("set_size_excess", 0.0, self.alpha / 2, self.least, unit="values")

    def _below_target(self, missed: NDArray[np.float64]) -> tuple[float, float, float]:
        """How far the candidate's coverage lies below the target, with its bounds at all looks."""
        known = missed[np.isfinite(missed)]
        if len(known) < self.least:
            return math.nan, -math.inf, math.inf
        plain = float(known.std(ddof=1))
        rows = len(known) * (plain / spread_in_time(known)) ** 2 if plain > 0 else len(known)
        rate = float(known.mean())
        low, high = rate_bounds(round(rate * rows), max(1, round(rows)), self.alpha / 2)
        allowed = 1 - self.target
        return rate - allowed, min(low, rate) - allowed, max(high, rate) - allowed

    def _shortfall(self, both: Both, target: tuple[float, float, float]) -> Measurement:
        """The smaller of what is missing to the target and to stable; both must be shown for the candidate to fail."""
        apart = self._allowed.measure(both)
        if not math.isfinite(apart.value) or not math.isfinite(target[0]):
            return self._allowed.unknown(both.n, both.where)
        value, low, high = min(target[0], apart.value), min(target[1], apart.low), min(target[2], apart.high)
        return self._allowed.interval(value, low, high, apart.n, apart.where)

    def _missed(self, rows: Window) -> NDArray[np.float64]:
        """1 where the truth lies outside the set, 0 inside, NaN where one of them is not known, (n,)."""
        low, high = self._ends(rows)
        outside = np.where(np.isfinite(low + high + rows.labels), (rows.labels < low) | (rows.labels > high), math.nan)
        for k in self._with_set(rows, np.isfinite(rows.labels)):
            outside[k] = float(class_name(float(rows.labels[k]), self.classes) not in _set(rows, k))
        return np.asarray(np.where(failed(rows), math.nan, outside), np.float64)

    def _sizes(self, rows: Window) -> NDArray[np.float64]:
        low, high = self._ends(rows)
        size = high - low
        for k in self._with_set(rows, np.ones(rows.n, np.bool_)):
            size[k] = len(_set(rows, k))
        return np.asarray(np.where(failed(rows), math.nan, size), np.float64)

    def _ends(self, rows: Window) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        unknown = np.full(rows.n, math.nan)
        low, high = (floats(rows.outputs[end]) if end in rows.outputs else unknown for end in (self.low, self.high))
        return low, high

    def _with_set(self, rows: Window, wanted: NDArray[np.bool_]) -> list[int]:
        if rows.sets is None:
            return []
        given = rows.sets.tolist()
        return [k for k in np.flatnonzero(wanted).tolist() if given[k] is not None]

    def _said(self, found: Measurement) -> str:
        if found.name == "set_size_excess":
            return plainly(found, f"sets are larger than {self.larger:g} times stable's by")
        return plainly(found, f"sets cover less than the {self.target:g} promised, and than stable's do, by")


def _set(rows: Window, k: int) -> Sequence[Any]:
    assert rows.sets is not None
    found: Sequence[Any] = rows.sets[k]
    return found
