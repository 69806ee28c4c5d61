"""Class scores made honest probabilities by one number that they are divided by (Guo et al. 2017)."""

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
from roadworthy.serve.calibration.applied import Scores, logits_of, on_classes, softmax
from roadworthy.serve.calibration.labelled_rows import refuse_no_probabilities
from roadworthy.serve.fold import Arrays, on_response

# Beyond these, scores are as good as no opinion or as certainty; `fit` stays within.
COLDEST, HOTTEST = 1e-2, 1e2


@wrapper("temperature")
@dataclass(frozen=True)
class Temperature:
    """Scores of k classes become probabilities: `softmax(scores / temperature)`, row by row.

    Guo et al. 2017, "On calibration of modern neural networks". `output` (n, k) holds logits, or probabilities where
    `of` says so (their logarithms are then the scores), and afterwards the probabilities. The likeliest class stays
    the likeliest; confidence is its probability. `fit` finds the number.
    """

    temperature: float = 1.0
    output: str = "scores"
    of: Scores = "logits"

    def __post_init__(self) -> None:
        if not self.temperature > 0:
            raise ValueError(f"`temperature` must be above 0, got {self.temperature!r}")

    def __call__(self, inner: Handler) -> Handler:
        """The handler that does this to what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[Temperature, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls(temperature=1.7), {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The scores as probabilities, in their own type, and the greatest of each row as its confidence."""
        return on_classes(outputs, self.output, lambda s: softmax(logits_of(s, self.of) / self.temperature), 0)


def fit(labels: ArrayLike, scores: ArrayLike, output: str = "scores", of: Scores = "logits") -> Temperature:
    """The temperature of the least log loss on rows that the model was not trained on.

    `labels` (n,) are class numbers from 0, `scores` (n, k). Raises BadData where they do not belong together, and where
    all labels are of one class, of which one can never be too sure.
    """
    y, s = floats(labels, "labels"), floats(scores, "scores")
    if s.ndim != 2 or s.shape[1] < 2 or y.shape != s.shape[:1] or not len(y) or not np.isfinite(s).all():
        raise BadData(
            f"a temperature needs one label for each row of finite scores of two or more classes, got labels "
            f"{y.shape} and scores {s.shape}"
        )
    if not np.isin(y, np.arange(s.shape[1])).all():
        wrong = next(label for label in y.tolist() if label not in range(s.shape[1]))
        raise BadData(f"a label is the number of a class, 0 to {s.shape[1] - 1}, got {wrong!r}")
    if (y == y[0]).all():
        raise BadData(f"a temperature needs rows of several classes, and all {len(y)} labels are of class {y[0]:g}")
    if of == "probabilities":
        refuse_no_probabilities(s)
    s = logits_of(s, of)
    right = s[np.arange(len(y)), y.astype(np.int64)]
    return Temperature(float(np.exp(-_root(s, right))), output, of)


def _root(scores: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """The logarithm of the factor on the scores at which the log loss is least.

    The loss is convex in the factor, so its slope, `mean(expected score - score of the true class)`, rises through 0.
    """
    low, high = float(np.log(1 / HOTTEST)), float(np.log(1 / COLDEST))
    for _ in range(60):
        middle = (low + high) / 2
        expected = (softmax(scores * np.exp(middle)) * scores).sum(axis=1)
        low, high = (low, middle) if (expected - right).mean() > 0 else (middle, high)
    return (low + high) / 2
