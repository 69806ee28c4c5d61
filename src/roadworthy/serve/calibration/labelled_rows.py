"""Which labelled rows a calibration may be fitted on; what it cannot learn from is refused with the reason."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from roadworthy.core.errors import BadData
from roadworthy.core.floats import floats

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    Floats = NDArray[np.float64]

# What float32 rounds by: probabilities may be so much beside the interval, and their sum beside 1.
ROUNDING = 1e-6
SUM_ROUNDING = 1e-3


def binary_rows(labels: ArrayLike, probabilities: ArrayLike, least: int, method: str) -> tuple[Floats, Floats]:
    """Labels of 0 and 1 (n,) with probabilities (n,) of 1. Raises BadData unless there are `least` rows of both."""
    y, p = floats(labels, "labels"), floats(probabilities, "probabilities")
    if y.ndim != 1 or y.shape != p.shape:
        raise BadData(
            f"{method} needs one label for each probability, got labels {y.shape} and probabilities {p.shape}"
        )
    _refuse_unknown(np.isin(y, (0, 1)), y, "a label is 0 or 1")
    refuse_no_probabilities(p)
    ones = int(y.sum())
    if ones in (0, len(y)):
        raise BadData(f"{method} needs rows of both classes, got {ones} of class 1 in {len(y)} rows")
    _refuse_few(len(y), least, method)
    return y, p


def class_rows(
    labels: ArrayLike, outputs: ArrayLike, least: int, method: str, probabilities: bool = False, least_of_each: int = 1
) -> tuple[NDArray[np.int64], Floats]:
    """Class numbers (n,) with finite outputs (n, k), or `probabilities`. Raises BadData where a class is missing."""
    y, s = floats(labels, "labels"), floats(outputs, "outputs")
    if s.ndim != 2 or s.shape[1] < 2 or y.shape != s.shape[:1]:
        raise BadData(
            f"{method} needs one label for each row of outputs of two or more classes, got labels {y.shape} and "
            f"outputs {s.shape}"
        )
    k = s.shape[1]
    _refuse_unknown(np.isin(y, np.arange(k)), y, f"a label is the number of a class, 0 to {k - 1}")
    if not np.isfinite(s).all():
        raise BadData(f"{method} needs finite outputs, got {int((~np.isfinite(s)).any(axis=1).sum())} rows with others")
    if probabilities:
        refuse_no_probabilities(s)
    counts = np.bincount(y.astype(np.int64), minlength=k)
    if (counts < least_of_each).any():
        few = ", ".join(f"{c} ({counts[c]})" for c in np.flatnonzero(counts < least_of_each)[:8])
        raise BadData(f"{method} needs {least_of_each} rows or more of each of {k} classes; too few of class {few}")
    _refuse_few(len(y), least, method)
    return y.astype(np.int64), s


def refuse_no_probabilities(outputs: Floats) -> None:
    """Raises BadData for a NaN, a number beside 0 to 1, and for rows (n, k) that do not add up to 1."""
    wrong = ~((outputs >= -ROUNDING) & (outputs <= 1 + ROUNDING))
    if wrong.any():
        raise BadData(
            f"a probability is a number from 0 to 1, got {float(outputs[wrong][0])!r} and {int(wrong.sum()) - 1} more "
            f"that are none: leave out rows without an answer; margins or logits need another method"
        )
    if outputs.ndim == 2 and len(outputs):
        sums = outputs.sum(axis=1)
        off = float(sums[np.abs(sums - 1).argmax()])
        if abs(off - 1) > SUM_ROUNDING:
            raise BadData(f"the probabilities of a row add up to 1, got one that adds up to {off:.6g}; logits?")


def _refuse_unknown(known: NDArray[np.bool_], labels: Floats, allowed: str) -> None:
    if not known.all():
        wrong = labels[~known].tolist()
        raise BadData(
            f"{allowed}, got {wrong[0]!r} and {len(wrong) - 1} more; leave out rows whose label is not known yet"
        )


def _refuse_few(rows: int, least: int, method: str) -> None:
    if rows < least:
        raise BadData(f"{method} needs {least} labelled rows, got {rows}: {least - rows} more, or a simpler method")
