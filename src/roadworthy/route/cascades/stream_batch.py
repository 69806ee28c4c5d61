"""One batch of a stream while it is answered: rows are entered by sides, drawn, and sent on until the promise holds."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from roadworthy.route.cascades.batch import Desk
from roadworthy.route.cascades.design import Chances
from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.hidden import Errors
from roadworthy.route.cascades.stream_plan import Reach, allowed_errors, apart, furthest
from roadworthy.route.cascades.tally import Tally

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Parts of what room there is for errors, round after round: each learns from the draws of those before.
ROUNDS = (0.7, 0.9, 1.0, 1.0)
# Rows between the sides that are labelled before the first round: they would be sent on anyway, and tell the plan.
LOOK_FIRST = 100
# The riskiest rows go in portions of so many, or of half a hundredth: the last model is far away.
AT_ONCE = 24


@dataclass
class Side:
    """The rows that are answered cheaply in one way (no, or yes), and what draws from them say."""

    errors: Errors
    wrong_label: bool
    delta: float
    rows: Rows = field(default_factory=lambda: np.zeros(0, np.int64))

    def wrong(self, desk: Desk, rows: Rows) -> Flags:
        """Which of these rows, of those looked at, are wrong; one that the last model cannot answer counts as such."""
        looked = desk.bought[rows]
        return np.asarray(looked & (desk.failed[rows] | (desk.labels[rows] == self.wrong_label)))

    def enter(self, desk: Desk, rows: Rows, chances: Floats, rng: np.random.Generator) -> None:
        """Answer these rows cheaply from now on, and have some drawn and labelled. None was looked at before."""
        if not len(rows):
            return
        hit = rng.random(len(rows)) < chances
        desk.buy(rows[hit])
        self.errors = self.errors.drawn(chances[hit & self.wrong(desk, rows)], float(chances.min()))
        self.rows = np.concatenate([self.rows, rows])

    def settled(self, desk: Desk) -> Errors:
        """What is known of its errors, as the batch stands."""
        unseen = int((~desk.bought[self.rows]).sum())
        return self.errors.settled(int(self.wrong(desk, self.rows).sum()), unseen, self.delta)

    def unseen(self, desk: Desk) -> Rows:
        """Its rows that nobody looked at, the safest first."""
        return np.asarray(self.rows[~desk.bought[self.rows]])


class Batch:
    """The rows of a batch on their way from scores to answers; `known` are earlier scores and labels, for the plan."""

    def __init__(self, target: Target, before: Tally, scores: Floats, desk: Desk, known: tuple[Floats, Flags]) -> None:
        self.target, self.before, self.scores, self.desk, self._known = target, before, scores, desk, known
        delta = target.delta / len(target.stated)
        self.no, self.yes = Side(before.no, True, delta), Side(before.yes, False, delta)

    def settle(self, rng: np.random.Generator) -> Flags:
        """Answer every row, buying labels until the promise holds for all rows so far; True is yes."""
        order, no, yes = self._plan(1.0)
        between = order[no.end : len(order) - yes.end]
        self.desk.buy(rng.choice(between, min(LOOK_FIRST, len(between)), replace=False))
        for part in ROUNDS:
            order, no, yes = self._plan(part)
            self.no.enter(self.desk, order[: no.end], no.chances, rng)
            self.yes.enter(self.desk, order[::-1][: yes.end], yes.chances, rng)
        self.desk.buy(self._outside())
        self._send_on()
        answers = self.desk.labels.copy()
        answers[self.yes.unseen(self.desk)] = True
        return answers

    def tally(self) -> Tally:
        """All rows so far with this batch as it stands."""
        before, desk = self.before, self.desk
        failed = int(desk.failed.sum())
        return Tally(
            before.rows + len(desk.bought) - failed,
            before.by_last + int(desk.bought.sum()) - failed,
            before.positives + int(desk.labels.sum()),
            before.failed + failed,
            before.batches + 1,
            before.drifts,
            self.yes.settled(desk),
            self.no.settled(desk),
        )

    def _plan(self, part: float) -> tuple[Rows, Reach, Reach]:
        """The rows that are still free, by their scores, and how far from each end to answer them cheaply."""
        free = self._outside()
        free = free[np.isfinite(self.scores[free]) & ~self.desk.bought[free]]
        order = free[np.argsort(self.scores[free], kind="stable")]
        guess, now = self._guess(), self.tally()
        chance, missed = guess(self.scores[order]), guess(self.scores[self.no.unseen(self.desk)])
        positives = now.positives + now.yes.unknown + float(chance.sum()) + float(missed.sum())
        of_no, of_yes = allowed_errors(self.target, positives, self.before.rows + len(self.scores))
        no = furthest(chance, now.no, _room(now.no, of_no, part), self.no.delta)
        yes = furthest(1 - chance[::-1], now.yes, _room(now.yes, of_yes, part), self.yes.delta)
        return order, *apart(no, yes, len(order))

    def _guess(self) -> Chances:
        """The chance of a yes by score, from earlier labels and those of this batch."""
        mine = np.flatnonzero(self.desk.bought & ~self.desk.failed & np.isfinite(self.scores))
        scores, labels = self._known
        return Chances.learnt(
            np.concatenate([scores, self.scores[mine]]), np.concatenate([labels, self.desk.labels[mine]])
        )

    def _outside(self) -> Rows:
        """The rows that are on neither side."""
        outside = np.ones(len(self.scores), np.bool_)
        outside[self.no.rows] = outside[self.yes.rows] = False
        return np.flatnonzero(outside)

    def _send_on(self) -> None:
        """The riskiest rows of a side where too many errors may hide, until that is so no more."""
        while any(short := self.tally().short(self.target)):
            sides = [side for side, lacks in zip((self.no, self.yes), short, strict=True) if lacks]
            unseen = [side.unseen(self.desk) for side in sides]
            rows = np.concatenate([rows[-max(AT_ONCE, len(rows) // 200) :] for rows in unseen])
            if not len(rows):
                return
            self.desk.buy(rows)


def _room(errors: Errors, allowed: float, part: float) -> float:
    """How many errors may hide after this round: part of the way from those that may hide now to those allowed."""
    return errors.remaining + part * (allowed - errors.remaining)
