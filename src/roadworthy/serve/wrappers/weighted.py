"""Prediction sets or intervals for traffic whose inputs are known to be others than those of the labelled rows."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from itertools import accumulate
from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from roadworthy.core.catalog import load, write_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.measure import Measurement
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.conformal.base import SetLeaf, Threshold, checked_scores, set_leaf
from roadworthy.serve.conformal.holding import held
from roadworthy.serve.conformal.shift import Ratio
from roadworthy.serve.conformal.thresholds import enough, promise
from roadworthy.serve.fold import Arrays

Ratios = Callable[[Request], Sequence[float]]


@wrapper("weighted")
@dataclass(frozen=True)
class Weighted:
    """Sets or intervals that hold under a known shift of the inputs, by weighing labelled rows.

    Tibshirani, Barber, Candes & Ramdas 2019, "Conformal prediction under covariate shift". `scores` are those of the
    labelled rows, sorted, `weights` how much likelier each is in the traffic, up to one factor for all. How much
    likelier a request is, `ratio` tells, or `function` (`package.module:name`) as a list with one number a row. The
    promise holds where that is right, and is as good as `effective` equally weighted rows. A row that weighs more than
    the labelled ones can balance holds everything.
    """

    leaf: Any
    scores: tuple[float, ...] = ()
    weights: tuple[float, ...] = ()
    ratio: Ratio = field(default_factory=Ratio)
    function: str = ""
    target: float = 0.9
    rows: int = 0

    def __post_init__(self) -> None:
        if len(self.scores) != len(self.weights):
            raise ValueError(f"`scores` and `weights` belong together, got {len(self.scores)} and {len(self.weights)}")

    def __call__(self, inner: Handler) -> Handler:
        """The handler that adds sets or intervals to what `inner` answers."""
        return partial(self._ask, inner)

    def rehearse(self, outputs: Arrays) -> Arrays:
        """The outputs with sets or intervals that hold everything. Raises where the leaf cannot use them."""
        return self._sets.hold(outputs, math.inf)

    @classmethod
    def example(cls) -> tuple[Weighted, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        made = cls(
            {"lac": {"output": "scores"}}, (0.2, 0.5, 0.8), (1.0, 2.0, 1.0), Ratio(-3.0, {"x": 0.01}), target=0.5
        )
        return made, {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    @property
    def effective(self) -> float:
        """How many equally weighted rows the labelled ones are worth (Kish 1965)."""
        return effective_rows(self.weights)

    def threshold_for(self, weight: float) -> float:
        """The threshold for a row of this weight: below it and at it lies `target` of all weight, its own included."""
        # A weight that is none (NaN, below 0) says nothing about the row: everything is held.
        needed = self.target * (self._summed[-1] + weight) if self._summed and weight >= 0 else math.inf
        at = bisect_left(self._summed, needed * (1 - 1e-12))
        return self.scores[at] if at < len(self.scores) else math.inf

    async def _ask(self, inner: Handler, request: Request) -> Response:
        weights = self._ratios(request)
        if len(weights) != request.n:
            raise SpecError(f"`{self.function}` must weigh each of {request.n} rows, and gave {len(weights)} weights")
        found = [self.threshold_for(weight) for weight in weights]
        threshold: Threshold = found[0] if len(set(found)) == 1 else np.array(found, np.float64).reshape(-1, 1)
        return held(self._sets, await inner(request), threshold)

    @cached_property
    def _ratios(self) -> Ratios:
        if not self.function:
            return self.ratio.of
        found: Ratios = load(self.function)
        return found

    @cached_property
    def _summed(self) -> list[float]:
        return list(accumulate(self.weights))

    @cached_property
    def _sets(self) -> SetLeaf:
        return set_leaf(self.leaf)


def fit(
    leaf: Any,
    labels: ArrayLike,
    outputs: Arrays,
    weights: ArrayLike,
    target: float = 0.9,
    ratio: Ratio | None = None,
    function: str = "",
) -> Weighted:
    """Scores and weights of labelled rows, `weights` (n,) being what `ratio` or `function` gives for each.

    Raises BadData for weights that are none, and where they leave too few effective rows for the target.
    """
    scores, w = checked_scores(leaf, labels, outputs), np.asarray(weights, np.float64)
    if w.shape != scores.shape or not np.isfinite(w).all() or (w < 0).any() or not w.sum() > 0:
        raise BadData(
            f"each of the {len(scores)} rows needs a finite weight of 0 or more, and not all may be 0, got {w!r}"
        )
    enough(len(scores), target)
    worth = int(effective_rows(w.tolist()))
    enough(worth, target, f"effect ({len(scores)} rows, most of which hardly occur in the traffic)")
    order = np.argsort(scores, kind="stable")
    sorted_scores, sorted_weights = tuple(scores[order].tolist()), tuple((w / w.mean())[order].tolist())
    given = ratio or Ratio()
    # Weights of mean 1 make a plan that can be read; the ratio of a request must be on the same scale.
    scaled = Ratio(given.intercept - math.log(float(w.mean())), given.coefficients, given.missing)
    if function:
        sorted_weights = tuple(w[order].tolist())
    return Weighted(write_plan(leaf), sorted_scores, sorted_weights, scaled, function, target, len(scores))


def promised(fitted: Weighted) -> Measurement:
    """The coverage to expect, as if of `effective` rows: how far it may be off because of the rows drawn."""
    return promise(int(fitted.effective), fitted.target)


def effective_rows(weights: Sequence[float]) -> float:
    """The square of the sum over the sum of squares."""
    squares = sum(weight * weight for weight in weights)
    return sum(weights) ** 2 / squares if squares else 0.0
