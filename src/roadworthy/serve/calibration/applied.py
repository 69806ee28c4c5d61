"""A map of probabilities applied to what a model answers: its own float type kept, the confidence made anew."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol, runtime_checkable

import numpy as np

from roadworthy.core.errors import BadData
from roadworthy.serve.columns import CONFIDENCE
from roadworthy.serve.fold import Arrays, output_named

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

# What the scores of classes are: softmax makes probabilities of logits, and of the logarithms of probabilities.
Scores = Literal["logits", "probabilities"]
# The least probability that has a logarithm worth while: what float32 still tells from 0.
TINY = 1e-12


@runtime_checkable
class BinaryCalibration(Protocol):
    """A leaf that maps the probability of the second class to an honest one, number by number."""

    def calibrate(self, probabilities: ArrayLike) -> Floats: ...


def on_binary(outputs: Arrays, name: str, calibrate: Callable[[ArrayLike], Floats]) -> Arrays:
    """The output of this name calibrated, and the confidence that follows."""
    given = _floats(output_named(outputs, name, "calibrate"), name)
    honest = calibrate(given)
    return {**outputs, name: honest.astype(given.dtype), CONFIDENCE: np.maximum(honest, 1 - honest)}


def on_classes(outputs: Arrays, name: str, calibrate: Callable[[Floats], Floats], classes: int) -> Arrays:
    """As `on_binary`, of an output (n, k); `classes` is the k that it was fitted for, or 0 where it serves any."""
    given = _floats(output_named(outputs, name, "calibrate"), name)
    # Of one class alone a softmax makes a certainty, whatever its score.
    if given.ndim != 2 or (given.shape[1] != classes if classes else given.shape[1] < 2):
        allowed = f"(n, {classes})" if classes else "(n, k) of 2 classes or more"
        raise BadData(f"output {name!r} has shape {given.shape}; allowed: {allowed}, a score for each class")
    p = calibrate(given.astype(np.float64))
    return {**outputs, name: p.astype(given.dtype), CONFIDENCE: p.max(axis=1, initial=0.0)}


def logits_of(scores: Floats, of: Scores) -> Floats:
    """What softmax takes. A NaN stays one."""
    return scores if of == "logits" else np.log(np.maximum(scores, TINY))


def softmax(scores: NDArray[Any]) -> NDArray[Any]:
    """Probabilities (n, k) of logits (n, k)."""
    grown = np.exp(scores - scores.max(axis=1, keepdims=True))
    return np.asarray(grown / grown.sum(axis=1, keepdims=True))


def _floats(given: NDArray[Any], name: str) -> NDArray[Any]:
    if given.dtype.kind != "f":
        raise BadData(f"output {name!r} holds {given.dtype.name}, not floating-point numbers: it is no probability")
    return given
