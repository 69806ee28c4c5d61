"""Isotonic regression: the rising steps that come closest to outcomes, so that a score becomes a probability."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Isotonic:
    """Steps from `low` to `high` (of the score) with the mean outcome `rate` of the `rows` on each, all (b,)."""

    low: Floats
    high: Floats
    rate: Floats
    rows: Floats

    @classmethod
    def fit(cls, scores: Floats, outcomes: Floats) -> Isotonic:
        """Pool adjacent violators (Ayer et al. 1955): neighbours that fall are made one step, until none falls."""
        places, group, counts = np.unique(scores, return_inverse=True, return_counts=True)
        sums = np.bincount(group, outcomes, minlength=len(places))
        steps: list[tuple[int, int, float, float]] = []
        for k, (total, rows) in enumerate(zip(sums.tolist(), counts.tolist(), strict=True)):
            first = k
            while steps and steps[-1][2] * rows >= total * steps[-1][3]:
                first, _, more, others = steps.pop()
                total, rows = total + more, rows + others
            steps.append((first, k, total, float(rows)))
        firsts, lasts, totals, weights = (np.array(part) for part in zip(*steps, strict=True))
        return cls(places[firsts], places[lasts], totals / weights, weights)

    def __call__(self, scores: Floats) -> Floats:
        """The rate at each score: that of its step, and on a straight line between two steps."""
        edges = np.stack([self.low, self.high], axis=1).reshape(-1)
        return np.interp(scores, edges, np.repeat(self.rate, 2))

    def step_of(self, scores: Floats) -> NDArray[np.int64]:
        """The number of the step that is nearest to each score."""
        return np.searchsorted((self.high[:-1] + self.low[1:]) / 2, scores).astype(np.int64)
