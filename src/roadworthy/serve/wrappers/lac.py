"""Prediction sets of the classes whose probability is not below a threshold (least ambiguous classifiers)."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.wire import Handler, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.columns import SETS
from roadworthy.serve.conformal.base import Threshold
from roadworthy.serve.conformal.classes import (
    as_column,
    check_classes,
    class_probabilities,
    named,
    true_classes,
    with_sets,
)
from roadworthy.serve.fold import Arrays, on_response


@wrapper("lac")
@dataclass(frozen=True)
class Lac:
    """Sets of the classes that are likely enough; on average the smallest there are.

    Sadinle, Lei & Wasserman 2019. A class is as strange as 1 minus its probability in `output`; the set holds those up
    to `threshold`, and none where the model finds all too strange. `serve.conformal.fitting.fit` finds the threshold
    that holds `target` of the truths, from `rows` labelled rows. Not fitted, a set holds all classes.
    """

    threshold: float = math.inf
    classes: tuple[str, ...] = ()
    output: str = "probabilities"
    target: float = 0.9
    rows: int = 0

    def __call__(self, inner: Handler) -> Handler:
        """The handler that adds prediction sets to what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[Lac, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        made = cls(0.7, ("a", "b", "c"), "scores")
        return made, {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    @property
    def reads(self) -> tuple[str, ...]:
        """The outputs that it reads."""
        return (self.output,)

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The outputs with their prediction sets."""
        return self.hold(outputs, self.threshold)

    def hold(self, outputs: Arrays, threshold: Threshold) -> Arrays:
        """The outputs with the sets of another threshold; a row alone, which most requests are, goes without arrays."""
        given = outputs.get(self.output)
        if given is not None and type(threshold) is float and given.ndim == 2 and given.shape[0] == 1 < given.shape[1]:
            row: list[float] = given.tolist()[0]
            names = self.classes if len(self.classes) == len(row) else named(self.classes, len(row))
            held = tuple([name for name, p in zip(names, row, strict=True) if not 1.0 - p > threshold])
            return {**outputs, SETS: as_column([held])}
        return with_sets(outputs, 1.0 - class_probabilities(outputs, self.output), threshold, self.classes)

    def true_scores(self, outputs: Arrays, labels: ArrayLike) -> NDArray[np.float64]:
        """1 minus the probability of what came true, (n,)."""
        p, y = class_probabilities(outputs, self.output), true_classes(labels)
        return 1.0 - p[np.arange(len(y)), y]

    def check(self, outputs: Arrays, labels: ArrayLike) -> None:
        """Raises BadData where labels and outputs are not fit to learn a threshold from."""
        check_classes(outputs, self.output, labels)
