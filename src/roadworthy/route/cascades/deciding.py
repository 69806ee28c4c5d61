"""Decides rows of which the cheap model's share of each class is known: a whole table at once, or the next of a stream.

It chooses the way by the promise: precision and recall of two answers, or agreement of any number of classes.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roadworthy.route.cascades.batch import answer_batch
from roadworthy.route.cascades.batch_confident import answer_classes
from roadworthy.route.cascades.confident import Cheap
from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.stream import Stream
from roadworthy.route.cascades.stream_confident import AnsweredPredictions, Classes, answer_predictions

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def decide_all(shares: Floats, oracle: Classes, target: Target, rng: np.random.Generator) -> AnsweredPredictions:
    """All rows of a table (n, k), NaN where the cheap model has no answer: the promise is shown exactly, for these."""
    if target.precision is None:
        found = answer_classes(_cheap(shares), oracle, target, rng)
        failed = found.classes < 0
        return AnsweredPredictions(found.classes, found.by_last & ~failed, failed)
    yes = answer_batch(shares[:, 1], lambda rows: _yes(oracle(rows)), target, rng)
    return AnsweredPredictions(yes.positive.astype(np.int64), yes.by_last, yes.failed)


def decide_next(stream: Stream, shares: Floats, oracle: Classes, rng: np.random.Generator) -> AnsweredPredictions:
    """The next rows of a stream: the promise holds for all rows so far."""
    if stream.target.precision is None:
        return answer_predictions(stream, _cheap(shares), oracle, rng)
    yes = stream.answer(shares[:, 1], lambda rows: _yes(oracle(rows)), rng)
    return AnsweredPredictions(yes.positive.astype(np.int64), yes.by_last, yes.failed)


def _cheap(shares: Floats) -> Cheap:
    return Cheap(np.nan_to_num(shares).argmax(axis=1), shares.max(axis=1))


def _yes(classes: Rows) -> Floats:
    """Labels of two classes, NaN where there is none."""
    return np.where(classes < 0, np.nan, classes)
