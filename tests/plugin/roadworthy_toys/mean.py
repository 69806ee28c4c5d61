"""A detector of somebody else's: it looks at means only."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.window import Window

LEAST = 30


@dataclass(frozen=True)
class Mean:
    """Alarms when the mean of a numeric input moves by more than `sigmas` standard errors."""

    sigmas: float = 8.0
    alpha: float = 0.01

    def __call__(self, reference: Window, current: Window) -> Verdict:
        shared = [n for n, values in current.inputs.items() if values.dtype != object and n in reference.inputs]
        gaps = {n: gap(reference.inputs[n], current.inputs[n]) for n in shared}
        if not gaps or not reference.n or not current.n:
            return Verdict("wait", "no rows to compare", "plugged_mean")
        worst = max(gaps, key=lambda n: gaps[n])
        found = tuple(Measurement("sigmas", gaps[n], current.n, where=n) for n in sorted(gaps, key=lambda n: -gaps[n]))
        moved = "fail" if gaps[worst] > self.sigmas else "pass"
        return Verdict(moved, f"{worst} moved by {gaps[worst]:.1f} standard errors", "plugged_mean", found)


def gap(before: NDArray[np.float64], now: NDArray[np.float64]) -> float:
    """How many standard errors lie between two means; 0 where too few values are known."""
    before, now = before[~np.isnan(before)], now[~np.isnan(now)]
    if len(before) < LEAST or len(now) < LEAST:
        return 0.0
    error = float(np.sqrt(before.var() / len(before) + now.var() / len(now)))
    return abs(float(before.mean() - now.mean())) / error if error else 0.0
