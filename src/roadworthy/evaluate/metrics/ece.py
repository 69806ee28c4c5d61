"""Expected calibration error: how far the stated probabilities are from what happens."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.evaluate.base import metric


@metric("ece")
@dataclass(frozen=True)
class Ece:
    """Mean distance between probability and frequency over equal-count bins (Guo et al. 2017)."""

    bins: int = 15
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise ValueError(f"`bins` must be at least 2, got {self.bins!r}")

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement:
        return stats.calibration_error(labels, answers, where, self.bins, self.confidence)
