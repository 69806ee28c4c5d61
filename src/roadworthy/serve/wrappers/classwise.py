"""Probabilities of several classes made honest one class at a time, then made to add up to 1 again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

import msgspec
import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.wire import Handler, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.calibration.applied import BinaryCalibration, on_classes
from roadworthy.serve.calibration.labelled_rows import class_rows
from roadworthy.serve.fold import Arrays, on_response
from roadworthy.serve.wrappers import calibrated


@wrapper("classwise")
@dataclass(frozen=True)
class Classwise:
    """One binary calibration for each class against the rest, the results divided by their sum.

    Zadrozny & Elkan 2002, "Transforming classifier scores into accurate multiclass probability estimates". `each` holds
    a plan for each class, of any wrapper with `calibrate` (`calibrated`, `beta_calibrated`, `isotonic`, `histogram`).
    None changes nothing. Another class may become the likeliest. `fit` finds the plans.
    """

    each: tuple[Any, ...] = ()
    output: str = "probabilities"
    rows: int = 0

    def __post_init__(self) -> None:
        for plan, leaf in zip(self.each, self._leaves, strict=True):
            if not isinstance(leaf, BinaryCalibration):
                raise TypeError(
                    f"{plan!r} does not calibrate probabilities one by one; allowed is what has `calibrate`"
                )

    def __call__(self, inner: Handler) -> Handler:
        """The handler that calibrates what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[Classwise, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        each = ({"calibrated": {"slope": 0.7}}, "isotonic", {"beta_calibrated": {"near_one": 1.3}})
        return cls(each, output="scores"), {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    def probabilities_of(self, probabilities: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (n, k), calibrated. Where every class comes out as 0, a row stays as it was."""
        p = np.asarray(probabilities, np.float64)
        if not self.each:
            return p
        q = np.stack([leaf.calibrate(p[:, c]) for c, leaf in enumerate(self._leaves)], axis=1)
        total = q.sum(axis=1, keepdims=True)
        return np.where(total == 0, p, q / np.where(total == 0, 1.0, total))

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The probabilities calibrated, in their own type, and the greatest of each row as its confidence."""
        return on_classes(outputs, self.output, self.probabilities_of, len(self.each))

    @cached_property
    def _leaves(self) -> tuple[Any, ...]:
        try:
            return tuple(wrapper.make(plan) for plan in self.each)
        except SpecError as wrong:
            raise ValueError(f"`each` holds a plan for each class: {wrong}") from wrong


def fit(
    labels: ArrayLike,
    probabilities: ArrayLike,
    output: str = "probabilities",
    each: Callable[[ArrayLike, ArrayLike], Any] = calibrated.fit,
) -> Classwise:
    """What `each`, the `fit` of a binary calibration, finds for every class against the rest.

    `labels` (n,) are class numbers from 0, `probabilities` (n, k), of rows that the model was not trained on. Raises
    BadData where a class is missing, or has fewer rows than the method needs.
    """
    y, p = class_rows(labels, probabilities, 2, "classwise calibration", probabilities=True)
    plans = []
    for c in range(p.shape[1]):
        try:
            plan = write_plan(each((y == c).astype(np.float64), p[:, c]))
            # As a release that was written and read back has it: lists in place of tuples.
            plans.append(msgspec.json.decode(msgspec.json.encode(plan)))
        except BadData as wrong:
            raise BadData(f"class {c} of {p.shape[1]}: {wrong}") from wrong
    return Classwise(tuple(plans), output, len(y))
