"""Class scores made honest probabilities by a factor and a shift for each class (Guo et al. 2017)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, partial

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.wire import Handler, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.calibration.applied import Scores, logits_of, on_classes, softmax
from roadworthy.serve.calibration.class_scaling import fit_classes
from roadworthy.serve.calibration.labelled_rows import class_rows
from roadworthy.serve.fold import Arrays, on_response
from roadworthy.serve.wrappers import temperature

ROWS_A_CLASS = 10
LEAST_OF_EACH = 2


@wrapper("vector_scaling")
@dataclass(frozen=True)
class VectorScaling:
    """Scores of k classes become probabilities: `softmax(scale * scores + shift)`, with numbers of each class.

    Guo et al. 2017, "On calibration of modern neural networks". `output` (n, k) holds logits, or probabilities where
    `of` says so, and afterwards the probabilities. Unlike with a temperature, another class may become the likeliest.
    No `scale` changes nothing but the softmax. `fit` finds the numbers; `rows` is how many rows it had.
    """

    scale: tuple[float, ...] = ()
    shift: tuple[float, ...] = ()
    output: str = "scores"
    of: Scores = "logits"
    rows: int = 0

    def __post_init__(self) -> None:
        if len(self.scale) != len(self.shift):
            raise ValueError(
                f"each class has both numbers, got {len(self.scale)} `scale` and {len(self.shift)} `shift`"
            )

    def __call__(self, inner: Handler) -> Handler:
        """The handler that does this to what `inner` answers."""
        return partial(on_response, self, inner)

    @classmethod
    def example(cls) -> tuple[VectorScaling, Mapping[str, Tensor]]:
        """A wrapper with its settings, and inputs for it: what the laws run every wrapper on."""
        return cls((0.9, 1.1, 0.4), (0.1, 0.0, -0.3)), {"x": Tensor("x", "FP32", (3, 1), [1.0, None, 30.0])}

    def probabilities_of(self, scores: ArrayLike) -> NDArray[np.float64]:
        """Probabilities (n, k) of scores (n, k). A row with a NaN is NaN throughout."""
        logits = logits_of(np.asarray(scores, np.float64), self.of)
        scale, shift = self._numbers
        return softmax(logits * scale + shift if self.scale else logits)

    def on_outputs(self, outputs: Arrays) -> Arrays:
        """The scores as probabilities, in their own type, and the greatest of each row as its confidence."""
        return on_classes(outputs, self.output, self.probabilities_of, len(self.scale))

    @cached_property
    def _numbers(self) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        return np.array(self.scale, np.float64), np.array(self.shift, np.float64)


def fit(
    labels: ArrayLike, scores: ArrayLike, output: str = "scores", of: Scores = "logits", ridge: float = 1.0
) -> VectorScaling:
    """The numbers of the least log loss, drawn by `ridge` towards the one temperature that is best for all classes.

    `labels` (n,) are class numbers from 0, `scores` (n, k), of rows that the model was not trained on. Raises BadData
    below ten rows for each class on average, and where a class has fewer than two.
    """
    k = np.shape(scores)[1] if np.ndim(scores) == 2 else 2
    y, s = class_rows(labels, scores, ROWS_A_CLASS * k, "vector scaling", of == "probabilities", LEAST_OF_EACH)
    start = 1 / temperature.fit(y, s, of=of).temperature
    scale, shift = fit_classes(y, logits_of(s, of), start, ridge)
    return VectorScaling(tuple(scale.tolist()), tuple(shift.tolist()), output, of, len(y))
