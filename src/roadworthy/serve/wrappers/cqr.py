"""Intervals between two quantiles that a model answers, moved until they hold the truth as often as promised."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.wire import Handler, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.conformal.base import Threshold
from roadworthy.serve.conformal.intervals import check_numbers, number, per_row, with_interval
from roadworthy.serve.fold import Arrays, on_response


@wrapper("cqr")
@dataclass(frozen=True)
class Cqr:
    """Intervals between two quantile outputs of a model, both moved by what makes them honest.

    Romano, Patterson & Candes 2019, "Conformalized quantile regression". `lower` and `upper` name the outputs, the 5 %
    and the 95 % quantile for a target of 0.9, say; the intervals become the outputs `low` and `high`. A negative
    `threshold` narrows them. `serve.conformal.fitting.fit` finds it.
    """

    threshold: float = math.inf
    lower: str = "lower"
    upper: str = "upper"
    target: float = 0.9
    rows: int = 0

    def __call__(self, inner: Handler) -> Handler:
        """The handler that adds intervals to what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[Cqr, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        made = cls(-0.1, "probability", "probability")
        return made, {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    @property
    def reads(self) -> tuple[str, ...]:
        """The outputs that it reads."""
        return (self.lower, self.upper)

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The outputs with `low` and `high`."""
        return self.hold(outputs, self.threshold)

    def hold(self, outputs: Arrays, threshold: Threshold) -> Arrays:
        """The outputs with the intervals of another threshold."""
        moved = per_row(threshold)
        return with_interval(outputs, number(outputs, self.lower) - moved, number(outputs, self.upper) + moved)

    def true_scores(self, outputs: Arrays, labels: ArrayLike) -> NDArray[np.float64]:
        """How far outside of the quantiles the truth lay (inside: negative), (n,)."""
        lower, upper = number(outputs, self.lower), number(outputs, self.upper)
        y = np.asarray(labels, np.float64)
        return np.maximum(lower - y, y - upper)

    def check(self, outputs: Arrays, labels: ArrayLike) -> None:
        """Raises BadData where labels and outputs are not fit to learn a threshold from."""
        check_numbers(labels, number(outputs, self.lower), number(outputs, self.upper))
