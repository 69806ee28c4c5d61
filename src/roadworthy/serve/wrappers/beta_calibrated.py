"""Probabilities made honest by a curve with a bend of its own near 0 and near 1 (Kull, Silva Filho & Flach 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.wire import Handler, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.calibration.applied import on_binary
from roadworthy.serve.calibration.labelled_rows import binary_rows
from roadworthy.serve.calibration.logistic import clipped, fit_logistic, platt_targets, sigmoid
from roadworthy.serve.fold import Arrays, on_response

# Ten rows for each of the three numbers (Peduzzi et al. 1996).
LEAST_ROWS = 30


@wrapper("beta_calibrated")
@dataclass(frozen=True)
class BetaCalibrated:
    """Beta calibration: like Platt scaling with one slope near 0 and another near 1; 1, 1, 0 change nothing.

    `sigmoid(near_zero * log(p) - near_one * log(1 - p) + intercept)`, Kull, Silva Filho & Flach 2017, "Beta
    calibration". Neither slope is below 0, so that what was likelier stays so. `fit` finds the numbers; `rows` is how
    many it had.
    """

    near_zero: float = 1.0
    near_one: float = 1.0
    intercept: float = 0.0
    output: str = "probability"
    rows: int = 0

    def __post_init__(self) -> None:
        for name in ("near_zero", "near_one"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"`{name}` must be 0 or above, got {getattr(self, name)!r}")

    def __call__(self, inner: Handler) -> Handler:
        """The handler that calibrates what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[BetaCalibrated, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls(near_zero=0.6, near_one=1.4, intercept=-0.1), {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    def calibrate(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of any shape, calibrated. A NaN stays one."""
        p = clipped(probabilities)
        return sigmoid(self.near_zero * np.log(p) - self.near_one * np.log1p(-p) + self.intercept)

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The output calibrated, in its own type, and the confidence that follows."""
        return on_binary(outputs, self.output, self.calibrate)


def fit(labels: ArrayLike, probabilities: ArrayLike, output: str = "probability") -> BetaCalibrated:
    """The curve of the greatest likelihood of Platt's targets on rows that the model was not trained on.

    `labels` (n,) in {0, 1}, `probabilities` (n,). Raises BadData below 30 rows, or where a class is missing.
    """
    y, p = binary_rows(labels, probabilities, LEAST_ROWS, "beta calibration")
    return BetaCalibrated(*curve_of(p, platt_targets(y)), output, len(y))


def curve_of(
    probabilities: NDArray[np.float64], targets: NDArray[np.float64], weights: NDArray[np.float64] | None = None
) -> tuple[float, float, float]:
    """Both slopes and the intercept; a slope that would be below 0 is 0, and the others are found without it."""
    p = clipped(probabilities)
    columns = np.column_stack([np.log(p), -np.log1p(-p), np.ones(len(p))])
    used = [0, 1, 2]
    while True:
        found = fit_logistic(columns[:, used], targets, weights)
        # The intercept, which is last, may be anything.
        lowest = int(np.append(found[:-1], 0.0).argmin())
        if lowest == len(used) - 1:
            break
        used.pop(lowest)
    numbers = np.zeros(3)
    numbers[used] = found
    near_zero, near_one, intercept = numbers.tolist()
    return near_zero, near_one, intercept
