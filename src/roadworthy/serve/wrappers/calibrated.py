"""Probabilities made honest by a line on their log-odds (Platt 1999)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.errors import BadData, SpecError, nearest
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.base import wrapper

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
        return partial(self._ask, inner)

    @classmethod
    def example(cls) -> tuple[Calibrated, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls(slope=0.7, intercept=-0.2), {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    def calibrate(self, probability: float) -> float:
        """One probability, calibrated. A NaN stays one."""
        p = min(max(probability, LEAST), 1 - LEAST) if probability == probability else probability
        # The sigmoid as a tanh, which cannot overflow.
        return 0.5 + 0.5 * math.tanh(0.5 * (self.slope * math.log(p / (1 - p)) + self.intercept))

    async def _ask(self, inner: Handler, request: Request) -> Response:
        response = await inner(request)
        if not isinstance(response.outputs, Mapping):
            raise SpecError("a stream of tensors cannot be calibrated: take `calibrated` out of the wrappers")
        tensor = response.outputs.get(self.output)
        if tensor is None:
            raise SpecError(
                f"the model has no output {self.output!r} to calibrate{nearest(self.output, response.outputs)} "
                f"(it has: {', '.join(response.outputs)})"
            )
        honest = [self.calibrate(p) for p in tensor.data]
        outputs = {**response.outputs, self.output: replace(tensor, data=honest)}
        return replace(response, outputs=outputs, confidence=[max(p, 1 - p) for p in honest])


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
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * scores))
