"""What one map of probabilities gains over another on the same rows."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import batch_spread, log_losses, z_of

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# As in the rollout gates: twelve stretches of time, whose means have Student's tail (docs/decisions/0004).
STRETCHES = 12
STUDENT = 1.3


def gain(
    name: str, before: Floats, after: Floats, unit: str = "1", confidence: float = 0.95, in_time: bool = True
) -> Measurement:
    """The mean of `before` less `after`, losses of the same rows (n,): above 0 where `after` is better.

    The interval is for rows that share storms: its variance comes from the means of stretches (Schmeiser 1982), and is
    never below that of independent rows, which it is where the order is not that of time.
    """
    values = before - after
    n, value = len(values), float(values.mean())
    half = z_of(confidence) * _spread(values, in_time) / math.sqrt(n)
    conditions = {} if confidence == 0.95 else {"confidence": confidence}
    return Measurement(name, value, n, value - half, value + half, unit, conditions=conditions)


def row_log_losses(labels: NDArray[Any], probabilities: Floats) -> Floats:
    """The log loss (nats) of each row, of two classes (n,) or of several (n, k)."""
    if probabilities.ndim == 1:
        return log_losses(labels, probabilities)
    right = probabilities[np.arange(len(labels)), labels.astype(np.int64)]
    return log_losses(np.ones(len(labels)), right)


def row_squares(labels: NDArray[Any], probabilities: Floats) -> Floats:
    """The squared error of each row, added up over the classes where there are several."""
    if probabilities.ndim == 1:
        return np.asarray((labels - probabilities) ** 2)
    return np.asarray(((np.eye(probabilities.shape[1])[labels.astype(np.int64)] - probabilities) ** 2).sum(axis=1))


def _spread(values: Floats, in_time: bool) -> float:
    if in_time:
        return batch_spread(values, STRETCHES, STUDENT)
    return float(values.std(ddof=1)) if len(values) > 1 else math.inf
