"""Intervals of one width around the number that a model answers."""

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


@wrapper("absolute")
@dataclass(frozen=True)
class Absolute:
    """Intervals as wide everywhere: the answer, plus and minus how far off it mostly was.

    Papadopoulos et al. 2002; Lei et al. 2018. They become the outputs `low` and `high`. `serve.conformal.fitting.fit`
    finds the `threshold` that holds `target` of the truths, from `rows` labelled rows; not fitted, it is infinite.
    """

    threshold: float = math.inf
    output: str = "prediction"
    target: float = 0.9
    rows: int = 0

    def __call__(self, inner: Handler) -> Handler:
        """The handler that adds intervals to what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[Absolute, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls(0.3, "probability"), {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    @property
    def reads(self) -> tuple[str, ...]:
        """The outputs that it reads."""
        return (self.output,)

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The outputs with `low` and `high`."""
        return self.hold(outputs, self.threshold)

    def hold(self, outputs: Arrays, threshold: Threshold) -> Arrays:
        """The outputs with the intervals of another threshold."""
        middle, width = number(outputs, self.output), per_row(threshold)
        return with_interval(outputs, middle - width, middle + width)

    def true_scores(self, outputs: Arrays, labels: ArrayLike) -> NDArray[np.float64]:
        """How far off the answers were, (n,)."""
        return np.abs(np.asarray(labels, np.float64) - number(outputs, self.output))

    def check(self, outputs: Arrays, labels: ArrayLike) -> None:
        """Raises BadData where labels and outputs are not fit to learn a threshold from."""
        check_numbers(labels, number(outputs, self.output))
