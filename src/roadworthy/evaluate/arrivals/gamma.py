"""Arrivals in bursts of a chosen strength."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.evaluate.base import arrivals


@arrivals("gamma")
@dataclass(frozen=True)
class Gamma:
    """Users who come in bursts: `cv` 1 is poisson, 3 is bursty, 0.3 is nearly regular."""

    cv: float = 2.0

    def __post_init__(self) -> None:
        if not 0.01 <= self.cv <= 100:
            raise ValueError(f"`cv` (deviation over mean of the gaps) must be between 0.01 and 100, got {self.cv!r}")

    def __call__(self, rate: float, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
        """A renewal process of gamma gaps that began long ago, so that its start is as busy as the rest (Cox 1962)."""
        if rate * seconds <= 0:
            return np.empty(0)
        shape = self.cv**-2
        scale = 1 / (rate * shape)
        # Whoever looks in at any moment is likelier to do so in a long gap, and is somewhere within it.
        times = [rng.gamma(shape + 1, scale, 1) * rng.uniform()]
        most = int(rate * seconds + 4 * self.cv * (rate * seconds) ** 0.5) + 10
        while times[-1][-1] < seconds:
            times.append(times[-1][-1] + np.cumsum(rng.gamma(shape, scale, most)))
        due = np.concatenate(times)
        return due[due < seconds]
