"""Bias of predicted numbers: whether they are too high or too low on average."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.evaluate.base import metric
from roadworthy.evaluate.scoring import scored


@metric("bias")
@dataclass(frozen=True)
class Bias:
    """The mean of prediction minus outcome, with a normal interval: above 0 the model promises too much."""

    tasks: ClassVar[tuple[Task, ...]] = ("regression",)
    best: ClassVar[float | None] = 0.0

    confidence: float = 0.95

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement:
        return stats.mean("bias", self.rows(*scored(labels, answers)), where, confidence=self.confidence)

    def rows(self, labels: NDArray[np.float64], answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """The signed error of each row."""
        return np.asarray(answers - labels)
