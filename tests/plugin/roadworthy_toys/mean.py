"""A detector of somebody else's: it looks at means only, and lets nothing wild into them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.profile import Reference
from roadworthy.core.window import Window

LEAST = 30


@dataclass(frozen=True)
class Mean:
    """Alarms when the mean of a numeric input moves by more than `sigmas` standard errors, or an input vanishes."""

    sigmas: float = 8.0
    alpha: float = 0.01

    def __call__(self, reference: Reference, current: Window) -> Verdict:
        numbers = [n for n, values in reference.inputs.items() if values.dtype != object]
        gone = [n for n in numbers if n not in current.inputs]
        new = ", ".join(n for n in current.inputs if n not in reference.inputs)
        if not numbers or not reference.n or not current.n or gone:
            return Verdict("wait", f"no rows to compare of {gone or 'any'}", "plugged_mean")
        gaps = {n: gap(reference.inputs[n], current.inputs[n]) for n in numbers}
        worst = max(gaps, key=lambda n: gaps[n])
        found = tuple(Measurement("sigmas", gaps[n], current.n, where=n) for n in sorted(gaps, key=lambda n: -gaps[n]))
        moved = "fail" if gaps[worst] > self.sigmas else "pass"
        told = f"{worst} moved by {gaps[worst]:.1f} standard errors{'; new: ' + new if new else ''}"
        return Verdict(moved, told, "plugged_mean", found)


def gap(before: NDArray[np.float64], now: NDArray[np.float64]) -> float:
    """How many standard errors lie between two means, trimmed to where the earlier values lie; 0 of too few values."""
    before, now = before[~np.isnan(before)], now[~np.isnan(now)]
    if len(before) < LEAST or len(now) < LEAST:
        return 0.0
    before, now = (np.clip(values, *np.quantile(before, (0.01, 0.99))) for values in (before, now))
    error = float(np.append(before, now).std() * np.sqrt(1 / len(before) + 1 / len(now)))
    return abs(float(before.mean() - now.mean())) / error if error else 0.0
