"""Length of written answers, which moves before quality does: empty, cut off or talkative."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.evaluate.base import metric
from roadworthy.evaluate.scoring import scored


@metric("answer_length")
@dataclass(frozen=True)
class AnswerLength:
    """The mean number of characters of an answer, whatever was expected, with a normal interval."""

    tasks: ClassVar[tuple[Task, ...]] = ("generation",)
    best: ClassVar[float | None] = None

    confidence: float = 0.95

    def __call__(self, labels: NDArray[Any], answers: NDArray[Any], where: str = "") -> Measurement:
        return stats.mean("answer_length", self.rows(*scored(labels, answers)), where, "chars", self.confidence)

    def rows(self, labels: NDArray[Any], answers: NDArray[Any]) -> NDArray[np.float64]:
        """The characters of each answer."""
        return np.fromiter(map(len, answers), np.float64, len(answers))
