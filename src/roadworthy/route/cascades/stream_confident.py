"""Batch after batch of predictions of any number of classes: they agree with the last model as promised.

As `stream`, whose question is then "is the predicted class right?".
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.route.cascades.confident import Cheap
from roadworthy.route.cascades.stream import Stream

Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
Floats = NDArray[np.float64]
# The expensive model's classes of the rows with these numbers; -1 where it gives none.
Classes = Callable[[Rows], Rows]


class AnsweredPredictions(Struct, frozen=True):
    """A batch, answered: `classes` (n,), -1 in `failed` rows; `by_last` (n,) are those of the expensive model."""

    classes: Rows
    by_last: Flags
    failed: Flags


def answer_predictions(stream: Stream, cheap: Cheap, oracle: Classes, rng: np.random.Generator) -> AnsweredPredictions:
    """Answer the next batch of a stream whose target is agreement (or accuracy, where the oracle knows the truth).

    Raises BadData where the stream promises something else.
    """
    stream.target.share()
    classes = cheap.predicted.astype(np.int64).copy()

    def agrees(rows: Rows) -> Floats:
        found = np.asarray(oracle(rows), np.int64)
        classes[rows] = found
        return np.where(found < 0, np.nan, found == cheap.predicted[rows])

    found = stream.answer(cheap.confidence, agrees, rng)
    return AnsweredPredictions(classes, found.by_last, found.failed)
