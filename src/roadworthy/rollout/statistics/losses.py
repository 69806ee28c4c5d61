"""What each labelled row costs under a metric: for a probability, for a vector of classes and for a number."""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.stats import auc_contributions, log_losses

Metric = Literal["log_loss", "auc", "brier", "error", "absolute", "squared"]
Floats = NDArray[np.float64]

# As `log_losses` has it: what is impossible costs 13.8 nats, not infinity.
_LEAST = 1e-6


def answers_of(column: NDArray[Any]) -> Floats:
    """The answers as numbers, (n,) or (n, classes); NaN where a row has none, or one of another width."""
    if column.dtype != object:
        return np.asarray(column, np.float64)
    vectors = [value for value in column if _is_vector(value)]
    if not vectors:
        return np.array([np.nan if value is None or isinstance(value, str) else value for value in column], np.float64)
    width = max(len(value) for value in vectors)
    unknown = np.full(width, np.nan)
    rows = [value if _is_vector(value) and len(value) == width else unknown for value in column]
    return np.array(rows, np.float64)


def losses(metric: Metric, labels: Floats, answers: Floats) -> Floats:
    """The loss of each row, (n,): their mean is the metric, with 1 - AUC for the ranking.

    `answers` (n,) are probabilities of the label 1, or numbers for `absolute` and `squared`; (n, k) are probabilities
    of the classes 0 to k - 1, which the labels name. A label that is no class was given no probability at all.
    """
    if answers.ndim == 2:
        return _of_classes(metric, labels, answers)
    if metric == "auc":
        return 1 - auc_contributions(labels > 0.5, answers)
    if metric == "log_loss":
        return log_losses(labels, answers)
    if metric == "error":
        return np.asarray((answers >= 0.5) != (labels >= 0.5), np.float64)
    gaps = np.abs(answers - labels)
    return np.asarray(gaps if metric == "absolute" else gaps * gaps)


def judges(metric: Metric, answers: Floats) -> bool:
    """Whether the metric is one of such answers: a vector has no ranking, and no distance from a label."""
    return answers.ndim == 1 or metric in ("log_loss", "brier", "error")


def _of_classes(metric: Metric, labels: Floats, answers: Floats) -> Floats:
    n, width = answers.shape
    true = np.where((labels >= 0) & (labels < width), labels, -1).astype(np.int64)
    if metric == "error":
        return np.asarray(answers.argmax(axis=1) != true, np.float64)
    given = np.where(true >= 0, answers[np.arange(n), true], 0.0)
    if metric == "log_loss":
        return np.asarray(-np.log(np.clip(given, _LEAST, 1.0)))
    return np.asarray((answers * answers).sum(axis=1) - 2 * given + 1)


def _is_vector(value: Any) -> bool:
    return hasattr(value, "__len__") and not isinstance(value, str)
