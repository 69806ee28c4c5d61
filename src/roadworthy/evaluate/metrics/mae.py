"""Mean absolute error of predicted numbers, in their own unit."""

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
from roadworthy.evaluate.scoring import scored


@metric("mae")
@dataclass(frozen=True)
class Mae:
    """How far a prediction is off on average, whichever way, with a normal interval."""

    tasks: ClassVar[tuple[Task, ...]] = ("regression",)
    best: ClassVar[float | None] = 0.0

    confidence: float = 0.95

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement:
        found = stats.mean("mae", self.rows(*scored(labels, answers)), where, confidence=self.confidence)
        return replace(found, low=max(0.0, found.low)) if found.n else found

    def rows(self, labels: NDArray[np.float64], answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """The absolute error of each row."""
        return np.asarray(np.abs(answers - labels))
