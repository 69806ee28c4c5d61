"""Logistic regression on a handful of columns, which Platt's and beta calibration both are."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

# The log-odds of 0 and 1 are infinite; the same bounds as `core.stats.log_losses` has.
LEAST = 1e-6


def clipped(probabilities: ArrayLike) -> Floats:
    """Probabilities kept from 0 and 1, whose logarithms are infinite. A NaN stays one."""
    return np.clip(np.asarray(probabilities, np.float64), LEAST, 1 - LEAST)


def sigmoid(scores: Floats) -> Floats:
    """1 / (1 + exp(-score)), as a tanh, which cannot overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * scores))


def platt_targets(labels: Floats, weights: Floats | None = None) -> Floats:
    """(N1 + 1) / (N1 + 2) for label 1 and 1 / (N0 + 2) for 0 (Platt 1999): no finite sample shows a certainty.

    A label between 0 and 1 is the rate of `weights` rows that were put together.
    """
    ones = float(labels.sum() if weights is None else labels @ weights)
    zeros = float(len(labels) if weights is None else weights.sum()) - ones
    least, most = 1 / (zeros + 2), (ones + 1) / (ones + 2)
    return np.asarray(least + (most - least) * labels)


def fit_logistic(design: Floats, targets: Floats, weights: Floats | None = None) -> Floats:
    """The weight of each column of `design` (n, m) at the greatest likelihood of `targets` (n,), the last being 1.

    Newton's method with halved steps (Lin, Lin & Weng 2007). `weights` (n,) count how often each row stands there.
    """
    rows = np.ones(len(targets)) if weights is None else weights
    base = float(rows @ targets / rows.sum())
    line: Floats = np.zeros(design.shape[1])
    line[-1] = math.log(base / (1 - base))
    for _ in range(100):
        p = sigmoid(design @ line)
        slope = design.T @ (rows * (p - targets))
        if np.abs(slope).max() < 1e-9 * rows.sum():
            break
        # The ridge keeps the step finite where all probabilities are one and the slope means nothing.
        curve = (design.T * (rows * p * (1 - p))) @ design + 1e-10 * np.eye(len(line))
        line = _descend(line, np.linalg.solve(curve, slope), design, targets, rows)
    return line


def _descend(line: Any, step: Any, design: Any, targets: Any, rows: Any) -> Any:
    """The first of step, step/2, step/4, ... that does not raise the loss."""
    before = _loss(design @ line, targets, rows)
    for halving in range(40):
        after = line - step / 2**halving
        if _loss(design @ after, targets, rows) <= before:
            return after
    return line


def _loss(scores: Floats, targets: Floats, rows: Floats) -> float:
    return float(rows @ (np.logaddexp(0, scores) - targets * scores))
