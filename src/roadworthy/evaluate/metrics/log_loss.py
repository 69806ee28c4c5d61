"""Log loss of the probabilities of a binary model, in nats."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement
from roadworthy.evaluate.base import metric


@metric("log_loss")
@dataclass(frozen=True)
class LogLoss:
    """The mean surprise of the outcomes (nats): it punishes both a bad ranking and bad probabilities."""

    confidence: float = 0.95

    def __call__(self, labels: NDArray[np.float64], answers: NDArray[np.float64], where: str = "") -> Measurement:
        return stats.log_loss(labels, answers, where, self.confidence)
