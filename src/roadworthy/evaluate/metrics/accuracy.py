"""Accuracy of a binary model's probabilities, cut at a threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.evaluate.base import metric


@metric("accuracy")
@dataclass(frozen=True)
class Accuracy:
    """The share of rows on the right side of the threshold, with Wilson's interval."""

    threshold: float = 0.5
    confidence: float = 0.95

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement:
        right = (answers >= self.threshold) == (labels >= 0.5)
        return stats.proportion("accuracy", int(right.sum()), len(labels), where, self.confidence)
