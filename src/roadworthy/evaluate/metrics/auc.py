"""Area under the ROC curve of the probabilities of a binary model."""

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


@metric("auc")
@dataclass(frozen=True)
class Auc:
    """How often a positive row is ranked above a negative one, with DeLong's interval."""

    tasks: ClassVar[tuple[Task, ...]] = ("binary",)
    best: ClassVar[float | None] = 1.0

    confidence: float = 0.95

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement:
        return stats.auc(*scored(labels, answers), where, self.confidence)
