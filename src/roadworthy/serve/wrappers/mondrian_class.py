"""Prediction sets with a threshold of its own for each class, so that no class pays for the average."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.measure import Measurement
from roadworthy.core.wire import Handler, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.conformal.base import SetLeaf, checked_scores, set_leaf
from roadworthy.serve.conformal.classes import class_probabilities, named
from roadworthy.serve.conformal.thresholds import enough, promise, threshold_at
from roadworthy.serve.fold import Arrays, on_response


@wrapper("mondrian_class")
@dataclass(frozen=True)
class MondrianClass:
    """Sets that hold the truth as often as promised in each class (label-conditional, Mondrian).

    Vovk, Gammerman & Shafer 2005; Vovk 2012. `leaf` is the plan of the sets (`lac`, `aps` or `raps` with its classes
    and output), `thresholds` has one for each class, from as many labelled rows as `rows` says. `fit` finds them.
    """

    leaf: Any
    thresholds: tuple[float, ...] = ()
    target: float = 0.9
    rows: tuple[int, ...] = ()

    def __call__(self, inner: Handler) -> Handler:
        """The handler that adds prediction sets to what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[MondrianClass, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        made = cls({"lac": {"classes": ("a", "b", "c"), "output": "scores"}}, (0.7, 0.5, 0.9))
        return made, {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The outputs with their prediction sets. Raises SpecError where there is not a threshold for each class."""
        sets, row = self._made
        output = sets.reads[0]
        if output in outputs and outputs[output].shape[1:] != row.shape[1:]:
            k = class_probabilities(outputs, output).shape[1]
            if k != row.shape[1]:
                raise SpecError(
                    f"`thresholds` has {row.shape[1]} numbers and the model answers {k} classes: fit it anew"
                )
        return sets.hold(outputs, row)

    @cached_property
    def _made(self) -> tuple[SetLeaf, NDArray[np.float64]]:
        return set_leaf(self.leaf), np.array([self.thresholds], np.float64)


def fit(leaf: Any, labels: ArrayLike, outputs: Arrays, target: float = 0.9) -> MondrianClass:
    """A threshold for each class, from the rows of that class.

    `leaf` is a set leaf for classes. Raises BadData where a class has too few rows for the target, or none.
    """
    scores, y = checked_scores(leaf, labels, outputs), np.asarray(labels)
    if not hasattr(leaf, "classes"):
        raise BadData(f"only sets of classes can have a threshold a class, got {leaf!r}; use `mondrian_segment`")
    k = class_probabilities(outputs, leaf.output).shape[1]
    names, of_class = named(leaf.classes, k), [np.sort(scores[y == number]).tolist() for number in range(k)]
    for name, own in zip(names, of_class, strict=True):
        enough(len(own), target, f"class {name!r}")
    thresholds = tuple(threshold_at(own, target) for own in of_class)
    return MondrianClass(write_plan(leaf), thresholds, target, tuple(map(len, of_class)))


def promised(fitted: MondrianClass) -> list[Measurement]:
    """The coverage to expect in each class, with its range at 95 % confidence."""
    sets: Any = set_leaf(fitted.leaf)
    names = named(sets.classes, len(fitted.rows))
    return [promise(n, fitted.target, name) for name, n in zip(names, fitted.rows, strict=True)]
