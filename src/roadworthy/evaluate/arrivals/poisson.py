"""Arrivals of many independent users."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.evaluate.base import arrivals


@arrivals("poisson")
@dataclass(frozen=True)
class Poisson:
    """Many users who know nothing of each other, at a rate that does not change."""

    def __call__(self, rate: float, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
        """A Poisson process, given its count: uniform and in order."""
        return np.sort(rng.uniform(0.0, seconds, rng.poisson(rate * seconds)))
