"""Arrivals whose rate jumps."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.evaluate.base import arrivals


@arrivals("step")
@dataclass(frozen=True)
class Step:
    """A load that jumps, as at the start of a sale: each of the `levels` for an equal time."""

    levels: tuple[float, ...] = (0.5, 1.5)

    def __post_init__(self) -> None:
        if not self.levels or min(self.levels) < 0 or not sum(self.levels) > 0:
            raise ValueError(f"`levels` are relative rates of at least 0, not all of them 0, got {self.levels!r}")

    def __call__(self, rate: float, seconds: float, rng: np.random.Generator) -> NDArray[np.float64]:
        """Levels relative to each other; `rate` is their average."""
        share = np.concatenate([[0.0], np.cumsum(self.levels) / sum(self.levels)])
        edges = np.linspace(0.0, seconds, len(share))
        return np.sort(np.interp(rng.uniform(size=rng.poisson(rate * seconds)), share, edges))
