"""The cost gate: a request must not cost much more on the candidate than on stable."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window
from roadworthy.rollout.arms import failed, requests
from roadworthy.rollout.base import Expected, Need, gate
from roadworthy.rollout.statistics.differences import Allowed, beside, decided, in_stage, mean_of, plainly
from roadworthy.rollout.statistics.needing import need_of
from roadworthy.rollout.statistics.numbers import number


@gate("cost")
@dataclass(frozen=True)
class Cost:
    """Fails once a request is shown to cost over `dearer` times as much as on stable.

    It counts dollars, or tokens where no dollars are known, of answered requests, and of one with several rows what a
    row costs. It passes once a request is shown to cost at most that. `alpha` bounds the chance of ever failing a
    candidate that costs no more than stable.
    """

    dearer: float = 1.1
    alpha: float = 0.02
    least: int = 200

    def __post_init__(self) -> None:
        if self.dearer < 1:
            raise ValueError(f"`dearer` is a factor of at least 1, got {self.dearer!r}")

    def __call__(self, control: Window, candidate: Window) -> Verdict:
        control, candidate = requests(control), requests(candidate)
        unit = _unit(control, candidate)
        both = in_stage(control, candidate, _costs(control, unit), _costs(candidate, unit))
        means = mean_of("cost", both, unit)
        found = self._allowed(unit).measure(both, self.dearer)
        verdict = decided([found], lambda m: self._said(m, means), "cost")
        return beside(verdict, *means)

    def plan(self, expected: Expected) -> Need:
        """What the bound needs where both cost the same."""
        rows = requests(expected.stable)
        unit = _unit(rows, rows)
        return need_of(expected, _costs(rows, unit), self._allowed(unit), labelled=False, times=self.dearer)

    def _allowed(self, unit: str) -> Allowed:
        return Allowed("cost_excess", 0.0, self.alpha, self.least, unit=unit)

    def _said(self, found: Measurement, means: tuple[Measurement, Measurement]) -> str:
        before, after = means
        times = f" ({after.value / before.value:.2f} times)" if before.value > 0 else ""
        costs = f"a request costs {after.value:.4g} {found.unit} on the candidate, {before.value:.4g} on stable{times}"
        return plainly(found, f"{costs}, beyond {self.dearer:g} times by")


def _unit(control: Window, candidate: Window) -> Literal["usd", "tokens"]:
    return "usd" if _any(control.usd) and _any(candidate.usd) else "tokens"


def _costs(rows: Window, unit: str) -> NDArray[np.float64]:
    return np.where(failed(rows), np.nan, number(rows, unit))


def _any(column: NDArray[np.float64] | None) -> bool:
    return column is not None and bool(np.isfinite(column).any())
