"""Probabilities made honest by a line on their log-odds (Platt 1999)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.floats import floats
from roadworthy.core.wire import Handler, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.calibration.applied import on_binary
from roadworthy.serve.calibration.labelled_rows import refuse_no_probabilities
from roadworthy.serve.calibration.logistic import LEAST as LEAST
from roadworthy.serve.calibration.logistic import clipped, fit_logistic, platt_targets, sigmoid
from roadworthy.serve.fold import Arrays, on_response


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
        p = clipped(probabilities)
        return sigmoid(self.slope * np.log(p / (1 - p)) + self.intercept)

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The output calibrated, in its own type, and the confidence that follows."""
        return on_binary(outputs, self.output, self.calibrate)


def fit(labels: ArrayLike, probabilities: ArrayLike) -> Calibrated:
    """The slope and intercept of the greatest likelihood on rows that the model was not trained on.

    `labels` (n,) in {0, 1}, `probabilities` (n,). Newton's method with halved steps (Lin, Lin & Weng 2007) on Platt's
    targets (N1 + 1) / (N1 + 2) and 1 / (N0 + 2). Raises BadData unless both classes are there, and for
    numbers that are no probabilities.
    """
    y, p = floats(labels, "labels"), floats(probabilities, "probabilities")
    if y.shape != p.shape or y.ndim != 1 or not np.isin(y, (0, 1)).all() or not np.isfinite(p).all():
        raise BadData(
            f"calibration needs one label (0 or 1) for each finite probability, got {y.shape} labels and {p.shape}; "
            f"leave out rows whose label is not known yet"
        )
    refuse_no_probabilities(p)
    ones = int(y.sum())
    if ones in (0, len(y)):
        raise BadData(f"calibration needs rows of both classes, got {ones} of class 1 in {len(y)} rows")
    return Calibrated(*line_of(p, platt_targets(y)))


def line_of(
    probabilities: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> tuple[float, float]:
    """Slope and intercept of the greatest likelihood; `weights` count how often each row stands there."""
    p = clipped(probabilities)
    slope, intercept = fit_logistic(np.column_stack([np.log(p) - np.log1p(-p), np.ones(len(p))]), targets, weights)
    return float(slope), float(intercept)
