"""Probabilities made honest by a line on their log-odds (Platt 1999)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.wire import Handler, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.columns import CONFIDENCE
from roadworthy.serve.fold import Arrays, on_response, output_named

# The log-odds of 0 and 1 are infinite; the same bounds as `core.stats.log_losses` has.
LEAST = 1e-6


@wrapper("calibrated")
@dataclass(frozen=True)
class Calibrated:
    """Platt scaling: `sigmoid(slope * log-odds + intercept)` of the `output`; 1 and 0 change nothing.

    Platt 1999, "Probabilistic outputs for support vector machines", on log-odds in place of margins. Confidence is
    computed anew. `fit` finds the two numbers.
    """

    slope: float = 1.0
    intercept: float = 0.0
    output: str = "probability"

    def __call__(self, inner: Handler) -> Handler:
        """The handler that calibrates what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[Calibrated, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls(slope=0.7, intercept=-0.2), {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    def calibrate(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of any shape, calibrated. A NaN stays one."""
        p = np.clip(np.asarray(probabilities, np.float64), LEAST, 1 - LEAST)
        return _sigmoid(self.slope * np.log(p / (1 - p)) + self.intercept)

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The output calibrated, in its own type, and the confidence that follows."""
        given = output_named(outputs, self.output, "calibrate")
        honest = self.calibrate(given)
        return {**outputs, self.output: honest.astype(given.dtype), CONFIDENCE: np.maximum(honest, 1 - honest)}


def fit(labels: ArrayLike, probabilities: ArrayLike) -> Calibrated:
    """The slope and intercept of the greatest likelihood on rows that the model was not trained on.

    `labels` (n,) in {0, 1}, `probabilities` (n,). Newton's method with halved steps (Lin, Lin & Weng 2007) on Platt's
    targets (N1 + 1) / (N1 + 2) and 1 / (N0 + 2). Raises BadData unless both classes are there.
    """
    y, p = np.asarray(labels, np.float64), np.asarray(probabilities, np.float64)
    if y.shape != p.shape or y.ndim != 1 or not np.isin(y, (0, 1)).all() or not np.isfinite(p).all():
        raise BadData(
            f"calibration needs one label (0 or 1) for each finite probability, got {y.shape} labels and {p.shape}; "
            f"leave out rows whose label is not known yet"
        )
    ones = int(y.sum())
    if ones in (0, len(y)):
        raise BadData(f"calibration needs rows of both classes, got {ones} of class 1 in {len(y)} rows")
    targets = np.where(y == 1, (ones + 1) / (ones + 2), 1 / (len(y) - ones + 2))
    clipped = np.clip(p, LEAST, 1 - LEAST)
    slope, intercept = _newton(np.log(clipped) - np.log1p(-clipped), targets)
    return Calibrated(slope, intercept)


def _newton(odds: NDArray[np.float64], targets: NDArray[np.float64]) -> tuple[float, float]:
    design = np.column_stack([odds, np.ones_like(odds)])
    line: NDArray[np.float64] = np.array([0.0, math.log(targets.mean() / (1 - targets.mean()))])
    for _ in range(100):
        p = _sigmoid(design @ line)
        slope = design.T @ (p - targets)
        if np.abs(slope).max() < 1e-9 * len(odds):
            break
        # The ridge keeps the step finite where all probabilities are one and the slope means nothing.
        curve = (design.T * (p * (1 - p))) @ design + 1e-10 * np.eye(2)
        line = _descend(line, np.linalg.solve(curve, slope), design, targets)
    return float(line[0]), float(line[1])


def _descend(line: Any, step: Any, design: Any, targets: Any) -> Any:
    """The first of step, step/2, step/4, ... that does not raise the loss."""
    before = _loss(design @ line, targets)
    for halving in range(40):
        after = line - step / 2**halving
        if _loss(design @ after, targets) <= before:
            return after
    return line


def _loss(scores: NDArray[np.float64], targets: NDArray[np.float64]) -> float:
    return float((np.logaddexp(0, scores) - targets * scores).sum())


def _sigmoid(scores: NDArray[np.float64]) -> NDArray[np.float64]:
    # As a tanh, which cannot overflow.
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * scores))
