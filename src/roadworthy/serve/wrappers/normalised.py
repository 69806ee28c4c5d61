"""Intervals that are wide where a second output says that the answer is likely to be far off."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.wire import Handler, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.conformal.base import Threshold
from roadworthy.serve.conformal.intervals import check_numbers, number, per_row, with_interval
from roadworthy.serve.fold import Arrays, on_response


@wrapper("normalised")
@dataclass(frozen=True)
class Normalised:
    """Intervals as wide as the row is hard: plus and minus so many times the expected error.

    Papadopoulos, Gammerman & Vovk 2008; Lei et al. 2018. `spread` names the output that says how large an error to
    expect (a standard deviation, a model of residuals), which counts as `least_spread` where it is smaller. The
    intervals become the outputs `low` and `high`. `serve.conformal.fitting.fit` finds the `threshold`.
    """

    threshold: float = math.inf
    output: str = "prediction"
    spread: str = "spread"
    least_spread: float = 1e-6
    target: float = 0.9
    rows: int = 0

    def __post_init__(self) -> None:
        if not self.least_spread > 0:
            raise ValueError(f"`least_spread` must be above 0, got {self.least_spread!r}")

    def __call__(self, inner: Handler) -> Handler:
        """The handler that adds intervals to what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[Normalised, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        made = cls(2.0, "probability", "probability", 0.3)
        return made, {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    @property
    def reads(self) -> tuple[str, ...]:
        """The outputs that it reads."""
        return (self.output, self.spread)

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The outputs with `low` and `high`."""
        return self.hold(outputs, self.threshold)

    def hold(self, outputs: Arrays, threshold: Threshold) -> Arrays:
        """The outputs with the intervals of another threshold."""
        middle = number(outputs, self.output)
        width = self._spread(outputs) * per_row(threshold)
        return with_interval(outputs, middle - width, middle + width)

    def true_scores(self, outputs: Arrays, labels: ArrayLike) -> NDArray[np.float64]:
        """How many times the expected error the answers were off, (n,)."""
        off = np.abs(np.asarray(labels, np.float64) - number(outputs, self.output))
        return np.asarray(off / self._spread(outputs))

    def check(self, outputs: Arrays, labels: ArrayLike) -> None:
        """Raises BadData where labels and outputs are not fit to learn a threshold from."""
        spread = number(outputs, self.spread)
        check_numbers(labels, number(outputs, self.output), spread)
        if spread.min() < 0:
            raise BadData(f"{self.spread!r} is an expected error and 0 at least, got {float(spread.min())!r}")

    def _spread(self, outputs: Arrays) -> NDArray[np.float64]:
        return np.maximum(number(outputs, self.spread), self.least_spread)
