"""Log loss of a classifier's probabilities, in nats."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import numpy as np
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.core.spec import Task
from roadworthy.evaluate.base import metric
from roadworthy.evaluate.scoring import are_probabilities, no_probabilities, scored


@metric("log_loss")
@dataclass(frozen=True)
class LogLoss:
    """The mean surprise of the outcomes (nats): it punishes both a bad ranking and bad probabilities."""

    tasks: ClassVar[tuple[Task, ...]] = ("binary", "multiclass")
    best: ClassVar[float | None] = 0.0

    confidence: float = 0.95

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement:
        labels, answers = scored(labels, answers)
        if not are_probabilities(answers):
            return no_probabilities("log_loss", where, "nats")
        return stats.mean("log_loss", self.rows(labels, answers), where, "nats", self.confidence)

    def rows(self, labels: NDArray[np.float64], answers: NDArray[np.float64]) -> NDArray[np.float64]:
        """The surprise of each row; a class that the model has no number for was held impossible."""
        if answers.ndim == 1:
            return stats.log_losses(labels, answers)
        number, classes = labels.astype(np.int64), answers.shape[1]
        stated = answers[np.arange(len(labels)), np.minimum(number, classes - 1)]
        return stats.log_losses(np.ones(len(labels)), np.where(number < classes, stated, 0.0))
