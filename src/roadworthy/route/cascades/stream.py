"""Batch after batch through a cascade, the promise holding for all rows so far after each, however they drift.

Rows that a cheap model may answer are drawn at random, the risky ones oftener, and labelled. Errors found bound all
errors so far by one martingale over all batches (`hidden`); while the bound is too high, the riskiest rows of the batch
are sent on, which lowers it by facts. Earlier labels only plan; a bad plan costs rows sent on, never the promise.
"""

from __future__ import annotations

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.betting import shows_above
from roadworthy.route.cascades.batch import Desk, Oracle, checked
from roadworthy.route.cascades.design import Chances, pilot_rows
from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.stream_batch import Batch
from roadworthy.route.cascades.tally import Tally

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

LEAST_TO_PLAN = 150
# So many of the newest labels are kept to plan with.
MEMORY = 6000
SURPRISE = 0.01


class Answers(Struct, frozen=True):
    """A batch, answered: `positive` (n,) answers, `by_last` (n,) which of them the expensive model gave.

    `failed` (n,) rows have no answer: the expensive model was asked and gave none.
    """

    positive: Flags
    by_last: Flags
    failed: Flags


class Progress(Struct, frozen=True):
    """Where a stream stands between two batches, as plain data: whoever has it goes on from there."""

    target: Target
    tally: Tally = Tally()
    scores: tuple[float, ...] = ()
    labels: tuple[bool, ...] = ()


class Stream:
    """A worker: the newest labels bought, which plan the next batch, and the tally of all rows so far.

    With a target of precision and recall it answers yes or no by the cheap model's probability of yes. With one of
    agreement or accuracy, yes is "the cheap model is right", and `scores` are its confidence (`stream_confident`).
    Labels that the plan did not foresee mean that scores and answers have drifted apart: older ones are forgotten then.
    """

    def __init__(self, target: Target) -> None:
        self.target, self.tally = target, Tally()
        self._scores: Floats = np.zeros(0)
        self._labels: Flags = np.zeros(0, np.bool_)

    @classmethod
    def resumed(cls, found: Progress) -> Stream:
        """The stream that goes on from there."""
        stream = cls(found.target)
        stream.tally = found.tally
        stream._scores, stream._labels = np.array(found.scores, np.float64), np.array(found.labels, np.bool_)
        return stream

    @property
    def progress(self) -> Progress:
        """Where it stands."""
        return Progress(self.target, self.tally, tuple(self._scores.tolist()), tuple(self._labels.tolist()))

    def answer(self, scores: Floats, oracle: Oracle, rng: np.random.Generator) -> Answers:
        """Answer the next batch; after it the promise holds for all rows so far. NaN scores are sent on."""
        scores = checked(scores)
        desk, sure = Desk(len(scores), oracle), np.flatnonzero(np.isfinite(scores))
        desk.buy(np.flatnonzero(~np.isfinite(scores)))
        planned = len(self._scores) >= LEAST_TO_PLAN
        if not planned:
            desk.buy(rng.choice(sure, pilot_rows(len(sure)), replace=False))
        batch = Batch(self.target, self.tally, scores, desk, (self._scores, self._labels))
        positive = batch.settle(rng)
        known = desk.bought & ~desk.failed & np.isfinite(scores)
        self._remember(scores[known], desk.labels[known], planned, rng)
        self.tally = replace(batch.tally(), drifts=self.tally.drifts)
        return Answers(positive, desk.bought & ~desk.failed, desk.failed)

    def _remember(self, scores: Floats, labels: Flags, planned: bool, rng: np.random.Generator) -> None:
        drift = planned and _surprised(Chances.learnt(self._scores, self._labels)(scores), labels, rng)
        if drift:
            self.tally = replace(self.tally, drifts=self.tally.drifts + 1)
            self._scores, self._labels = self._scores[:0], self._labels[:0]
        self._scores = np.concatenate([self._scores, scores])[-MEMORY:]
        self._labels = np.concatenate([self._labels, labels])[-MEMORY:]


def _surprised(guess: Floats, labels: Flags, rng: np.random.Generator) -> bool:
    """Whether more positives, or fewer, than guessed are there, or surer guesses err more (error 3 SURPRISE).

    By more than a tenth of the rows: a guess is never quite right.
    """
    rows = rng.permutation(len(guess))
    apart, sure = (labels - guess)[rows], (2 * guess - 1)[rows]
    return any(shows_above(v, 0.1, -1.0, 1.0, SURPRISE, len(v)) for v in (apart, -apart, -apart * sure))
