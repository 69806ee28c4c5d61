"""From the probabilities of classes to sets of their names, and what labels of classes must be like."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import compress
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.floats import floats
from roadworthy.serve.columns import SETS
from roadworthy.serve.fold import Arrays, output_named

# A softmax in 32 bits over a thousand classes is no further from 1 than this.
_NEAR_ONE = 1e-3


def class_probabilities(outputs: Arrays, output: str) -> NDArray[np.float64]:
    """The output as (n, k): what a binary model answers (n,) is the probability of the second of two classes."""
    given = outputs[output] if output in outputs else output_named(outputs, output, "make prediction sets of")
    if given.ndim == 2 and given.shape[1] > 1:
        return floats(given, f"the values of output {output!r}")
    if given.size != len(given):
        raise BadData(f"output {output!r} has shape {given.shape}; allowed: (n,) for two classes, (n, k) for k")
    both = np.empty((len(given), 2))
    both[:, 1] = floats(given.reshape(-1), f"the values of output {output!r}")
    np.subtract(1.0, both[:, 1], out=both[:, 0])
    return both


def with_sets(outputs: Arrays, scores: NDArray[np.float64], threshold: Any, classes: Sequence[str]) -> Arrays:
    """The outputs, and for each row the names of the classes that are not stranger than the threshold."""
    # Turned about, so that a NaN is held: what nobody knows must not be ruled out.
    strange = scores > threshold
    names = named(classes, scores.shape[1])
    return {**outputs, SETS: as_column([tuple(compress(names, row)) for row in (~strange).tolist()])}


def named(classes: Sequence[str], k: int) -> Sequence[str]:
    """The names of k classes, which are numbers where they have none. Raises SpecError where there are not k."""
    if len(classes) == k:
        return classes
    if classes:
        raise SpecError(f"`classes` names {len(classes)} classes and the model answers {k}; name each, in their order")
    return _numbers(k)


def as_column(sets: Sequence[tuple[str, ...]]) -> NDArray[np.object_]:
    """An object array with one tuple a row."""
    column = np.empty(len(sets), object)
    if len(sets) == 1:
        column[0] = sets[0]
    else:
        for row, held in enumerate(sets):
            column[row] = held
    return column


def true_classes(labels: ArrayLike) -> NDArray[np.int64]:
    """Labels as the numbers of classes."""
    return np.asarray(labels, np.float64).astype(np.int64)


def check_classes(outputs: Arrays, output: str, labels: ArrayLike) -> None:
    """Raises BadData unless probabilities and the numbers of the true classes are fit to learn a threshold from.

    That is: one label a row, each the number of a class, of two classes at least; numbers in [0, 1] that add up to 1.
    """
    p, y = class_probabilities(outputs, output), floats(labels, "labels")
    if y.shape != p.shape[:1] or not len(y) or not np.isfinite(y).all():
        raise BadData(
            f"a prediction set is learnt from one label for each row, got labels {y.shape} and {output!r} {p.shape}, "
            f"{int((~np.isfinite(y)).sum())} of the labels not finite; leave out rows whose label is not known yet"
        )
    if not np.isin(y, np.arange(p.shape[1])).all():
        wrong = next(label for label in y.tolist() if label not in range(p.shape[1]))
        raise BadData(f"a label is the number of a class, 0 to {p.shape[1] - 1}, got {wrong!r}")
    if (y == y[0]).all():
        raise BadData(
            f"all {len(y)} labels are of class {int(y[0])}; a threshold for all classes needs several of them"
        )
    _refuse_scores(p, output)


def _refuse_scores(p: NDArray[np.float64], output: str) -> None:
    if not np.isfinite(p).all():
        raise BadData(f"{int((~np.isfinite(p).all(axis=1)).sum())} rows of {output!r} hold NaN or an infinity")
    with np.errstate(over="ignore"):
        sums = p.sum(axis=1)
    if p.min() < 0 or p.max() > 1 or np.abs(sums - 1).max() > _NEAR_ONE:
        raise BadData(
            f"{output!r} does not hold probabilities: numbers from {p.min():.4g} to {p.max():.4g}, whose sums lie "
            f"between {sums.min():.4g} and {sums.max():.4g}; wrap the model in `temperature` first"
        )


@lru_cache(maxsize=64)
def _numbers(k: int) -> tuple[str, ...]:
    return tuple(str(number) for number in range(k))
