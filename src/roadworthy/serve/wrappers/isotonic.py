"""Probabilities made honest by the rising steps that fit the outcomes best (Zadrozny & Elkan 2002)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.isotonic import Isotonic
from roadworthy.core.wire import Handler, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.calibration.applied import on_binary
from roadworthy.serve.calibration.labelled_rows import binary_rows
from roadworthy.serve.fold import Arrays, on_response

# Fewer make steps of a handful; from about 1,000 on it catches up with Platt (Niculescu-Mizil & Caruana 2005).
LEAST_ROWS = 100


@wrapper("isotonic")
@dataclass(frozen=True)
class IsotonicCalibrated:
    """Isotonic calibration: the `rates` at `scores`, and straight lines between; none of them change nothing.

    Zadrozny & Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates". What was
    likelier never becomes less likely, but may become as likely. Outside of the scores the nearest rate holds. `fit`
    finds the steps; `rows` is how many rows it had.
    """

    scores: tuple[float, ...] = ()
    rates: tuple[float, ...] = ()
    output: str = "probability"
    rows: int = 0

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.rates):
            raise ValueError(f"each score has one rate, got {len(self.scores)} `scores` and {len(self.rates)} `rates`")
        falls = any(low >= high for low, high in zip(self.scores, self.scores[1:], strict=False))
        if falls or any(low > high for low, high in zip(self.rates, self.rates[1:], strict=False)):
            raise ValueError("`scores` must rise, and `rates` must not fall")

    def __call__(self, inner: Handler) -> Handler:
        """The handler that calibrates what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[IsotonicCalibrated, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        inputs = {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}
        return cls(scores=(0.2, 0.3, 0.7), rates=(0.1, 0.4, 0.6)), inputs

    def calibrate(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Probabilities of any shape, calibrated. A NaN stays one."""
        p = np.asarray(probabilities, np.float64)
        scores, rates = self._curve
        return np.asarray(np.interp(p, scores, rates), np.float64) if len(scores) else p

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The output calibrated, in its own type, and the confidence that follows."""
        return on_binary(outputs, self.output, self.calibrate)

    @cached_property
    def _curve(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.array(self.scores, np.float64), np.array(self.rates, np.float64)


def fit(labels: ArrayLike, probabilities: ArrayLike, output: str = "probability") -> IsotonicCalibrated:
    """The steps of the least squared error on rows that the model was not trained on (pool adjacent violators).

    `labels` (n,) in {0, 1}, `probabilities` (n,). No rate is below 1 / (N0 + 2) or above (N1 + 1) / (N1 + 2), Platt's
    targets: no finite sample shows a certainty. Raises BadData below 100 rows, or where a class is missing.
    """
    y, p = binary_rows(labels, probabilities, LEAST_ROWS, "isotonic calibration")
    steps, ones = Isotonic.fit(p, y), y.sum()
    rates = np.clip(steps.rate, 1 / (len(y) - ones + 2), (ones + 1) / (ones + 2))
    scores = np.stack([steps.low, steps.high], axis=1).reshape(-1)
    # A step of one score has one end.
    ends = np.append(True, np.diff(scores) > 0)
    return IsotonicCalibrated(tuple(scores[ends].tolist()), tuple(np.repeat(rates, 2)[ends].tolist()), output, len(y))
