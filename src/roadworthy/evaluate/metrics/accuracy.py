"""Accuracy of a classifier's probabilities: of two classes cut at a threshold, of several the likeliest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.evaluate.base import metric
from roadworthy.evaluate.scoring import chosen, scored


@metric("accuracy")
@dataclass(frozen=True)
class Accuracy:
    """The share of rows whose class is right, with Wilson's interval; `threshold` is for two classes."""

    tasks: ClassVar[tuple[Task, ...]] = ("binary", "multiclass")
    best: ClassVar[float | None] = 1.0

    threshold: float = 0.5
    confidence: float = 0.95

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement:
        right = self.rows(*scored(labels, answers))
        return stats.proportion("accuracy", int(right.sum()), len(right), where, self.confidence)

    def rows(self, labels: NDArray[np.float64], answers: NDArray[np.float64]) -> NDArray[np.bool_]:
        """Whether each row is right."""
        return np.asarray(chosen(answers, self.threshold) == np.round(labels))
