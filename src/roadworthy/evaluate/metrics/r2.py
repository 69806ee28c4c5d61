"""R2 of predicted numbers: what share of the outcomes' variance they explain."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.evaluate.base import metric
from roadworthy.evaluate.scoring import by_influence, scored


@metric("r2")
@dataclass(frozen=True)
class R2:
    """1 minus the mean squared error over the variance of the outcomes, by the delta method (Hampel 1974).

    0 is what their mean alone would score, and less is worse than that; outcomes that never vary have none (n=0).
    """

    tasks: ClassVar[tuple[Task, ...]] = ("regression",)
    best: ClassVar[float | None] = 1.0

    confidence: float = 0.95

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement:
        labels, answers = scored(labels, answers)
        if len(labels) < 2 or labels.min() == labels.max():
            return stats.nothing("r2", where=where)
        squares, spreads = (answers - labels) ** 2, (labels - labels.mean()) ** 2
        error, variance = float(squares.mean()), float(spreads.mean())
        pull = (error - squares) / variance + error * (spreads - variance) / variance**2
        found = by_influence("r2", 1 - error / variance, pull, where, confidence=self.confidence)
        return replace(found, high=min(1.0, found.high))
