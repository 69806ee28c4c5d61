"""Root mean squared error of predicted numbers, in their own unit."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.evaluate.base import metric
from roadworthy.evaluate.scoring import scored


@metric("rmse")
@dataclass(frozen=True)
class Rmse:
    """The root of the mean squared error: one large miss weighs more than many small ones.

    The interval is the root of the normal one of the mean square.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("regression",)
    best: ClassVar[float | None] = 0.0

    confidence: float = 0.95

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement:
        labels, answers = scored(labels, answers)
        square = stats.mean("rmse", (answers - labels) ** 2, where, confidence=self.confidence)
        if not square.n:
            return square
        low, value, high = (math.sqrt(max(0.0, s)) for s in (square.low, square.value, square.high))
        return replace(square, value=value, low=low, high=high)
