"""Expected calibration error: how far the stated probabilities are from what happens."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.evaluate.base import metric
from roadworthy.evaluate.scoring import are_probabilities, chosen, no_probabilities, scored


@metric("ece")
@dataclass(frozen=True)
class Ece:
    """Mean distance between probability and frequency over equal-count bins (Guo et al. 2017).

    Of several classes the likeliest is looked at: how often it is right, against how likely it is said to be.
    """

    tasks: ClassVar[tuple[Task, ...]] = ("binary", "multiclass")
    best: ClassVar[float | None] = 0.0

    bins: int = 15
    confidence: float = 0.95

    def __post_init__(self) -> None:
        if self.bins < 2:
            raise ValueError(f"`bins` must be at least 2, got {self.bins!r}")

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement:
        labels, answers = scored(labels, answers)
        if not are_probabilities(answers):
            return no_probabilities("ece", where)
        if answers.ndim == 2 and len(answers):
            labels, answers = (chosen(answers) == labels).astype(np.float64), answers.max(axis=1)
        return stats.calibration_error(labels, answers, where, self.bins, self.confidence)
