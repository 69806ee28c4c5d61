"""Base rate: how common the positive outcome is, whatever the model says."""

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


@metric("base_rate")
@dataclass(frozen=True)
class BaseRate:
    """The share of positive labels: when it moves, calibration breaks though the ranking may hold."""

    tasks: ClassVar[tuple[Task, ...]] = ("binary",)
    best: ClassVar[float | None] = None

    confidence: float = 0.95

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement:
        labels, _ = scored(labels, answers)
        return stats.proportion("base_rate", int((labels >= 0.5).sum()), len(labels), where, self.confidence)
