"""Arrivals whose rate grows or falls steadily."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.evaluate.base import arrivals


@arrivals("ramp")
@dataclass(frozen=True)
class Ramp:
    """A morning: the rate goes in a straight line from `begin` to `end` times its average."""

    begin: float = 0.0
    end: float = 2.0

    def __post_init__(self) -> None:
        if min(self.begin, self.end) < 0 or not self.begin + self.end > 0:
            raise ValueError(f"`begin` and `end` are rates of at least 0, not both 0, got {self.begin!r}, {self.end!r}")

    def __call__(self, rate: float, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
        """`begin` and `end` relative to each other; `rate` is their average."""
        begin, end = 2 * np.array([self.begin, self.end]) / (self.begin + self.end)
        share = np.sort(rng.uniform(size=rng.poisson(rate * seconds)))
        # Where the area under the line from `begin` reaches `share`; this form holds for a level line too.
        return np.asarray(2 * seconds * share / (begin + np.sqrt(begin**2 + 2 * (end - begin) * share) + 1e-300))
