"""Prediction sets that take in classes, the likeliest first, until their probabilities add up to enough."""

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
from roadworthy.serve.conformal.classes import check_classes, class_probabilities, true_classes
from roadworthy.serve.conformal.ranked import Ranking, hold_ranked
from roadworthy.serve.fold import Arrays, on_response


@wrapper("aps")
@dataclass(frozen=True)
class Aps:
    """Sets as large as a row is hard: classes are taken in until they add up to enough.

    Romano, Sesia & Candes 2020. More even over easy and hard rows than `lac`, and larger. `randomised` sets hold the
    truth exactly as often as promised; without, they are somewhat too large. See `serve.conformal.ranked`.
    """

    threshold: float = math.inf
    classes: tuple[str, ...] = ()
    output: str = "probabilities"
    randomised: bool = True
    seed: int = 0
    target: float = 0.9
    rows: int = 0

    def __call__(self, inner: Handler) -> Handler:
        """The handler that adds prediction sets to what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[Aps, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        made = cls(0.7, ("a", "b", "c"), "scores")
        return made, {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    @property
    def reads(self) -> tuple[str, ...]:
        """The outputs that it reads."""
        return (self.output,)

    @property
    def ranking(self) -> Ranking:
        """How classes are scored."""
        return Ranking(self.randomised, self.seed)

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The outputs with their prediction sets."""
        return self.hold(outputs, self.threshold)

    def hold(self, outputs: Arrays, threshold: Threshold) -> Arrays:
        """The outputs with the sets of another threshold."""
        return hold_ranked(outputs, self.output, threshold, self.classes, self.ranking)

    def true_scores(self, outputs: Arrays, labels: ArrayLike) -> NDArray[np.float64]:
        """The probability of what was likelier than what came true, (n,)."""
        p, y = class_probabilities(outputs, self.output), true_classes(labels)
        return self.ranking.scores(p)[np.arange(len(y)), y]

    def check(self, outputs: Arrays, labels: ArrayLike) -> None:
        """Raises BadData where labels and outputs are not fit to learn a threshold from."""
        check_classes(outputs, self.output, labels)
