"""Arrivals like a metronome's."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.evaluate.base import arrivals


@arrivals("constant")
@dataclass(frozen=True)
class Constant:
    """A machine that asks at equal intervals; kinder to a server than people ever are."""

    def __call__(self, rate: float, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
        """The first at once, then one every 1 / rate seconds."""
        # A hair less: 0.1 * 30 is a little more than 3.
        n = max(0, math.ceil(rate * seconds * (1 - 1e-12)))
        return np.arange(n) / rate if n else np.empty(0)
