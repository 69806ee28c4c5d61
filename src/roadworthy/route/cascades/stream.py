"""Batch after batch through a cascade, the promise holding for all rows so far after each, however they drift.

Rows that a cheap model may answer are drawn at random and labelled. Errors found bound all errors so far by one
supermartingale over all batches; while the bound is too high, the riskiest rows of the batch are sent on, which lowers
it by facts. Earlier labels only plan; a bad plan costs rows sent on, never the promise.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.betting import shows_above
from roadworthy.route.cascades.batch import Desk, Oracle, checked
from roadworthy.route.cascades.design import Chances, pilot_rows
from roadworthy.route.cascades.fits import Target

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]

# Bets of which the best counts: small ones for long streams, great ones for the first batches.
STAKES = (0.002, 0.004, 0.008, 0.015, 0.025)
LEAST_TO_PLAN = 150
SURPRISE = 0.01
AT_ONCE = 24


class Errors(Struct, frozen=True):
    """What is known of one kind of error in the rows answered cheaply, of one worker or of many: a monoid.

    P(ever: `total` exceeds (log(1 / delta) + score) / stake) <= delta for each stake, whatever made the batches:
    k errors among n of N rows drawn without putting back have E[exp(-t k)] <= (1 - p + p exp(-t)) ** n
    (Hoeffding 1963), with stake = n / N * (1 - exp(-t)); the product over batches is a supermartingale (Ville 1939).
    """

    scores: tuple[float, ...] = (0.0,) * len(STAKES)
    known: int = 0
    unknown: int = 0
    remaining: float = 0.0

    def merge(self, other: Errors) -> Errors:
        """Both together; `remaining` bounds add up."""
        scores = tuple(a + b for a, b in zip(self.scores, other.scores, strict=True))
        unknown, remaining = self.unknown + other.unknown, self.remaining + other.remaining
        return Errors(scores, self.known + other.known, unknown, remaining)

    def drawn(self, errors: int, share: float) -> Errors:
        """With a batch of whose rows `share` was drawn, `errors` of them being wrong."""
        more = [-errors * math.log(1 - stake / share) if stake < share else math.inf for stake in STAKES]
        return replace(self, scores=tuple(a + b for a, b in zip(self.scores, more, strict=True)))

    def left(self, delta: float) -> float:
        """At most so many errors are in rows that nobody looked at."""
        least = math.log(len(STAKES) / delta)
        return min((least + score) / stake for score, stake in zip(self.scores, STAKES, strict=True)) - self.known


class Tally(Struct, frozen=True):
    """What one or many workers have answered so far: a monoid that goes to JSON and back."""

    rows: int = 0
    by_last: int = 0
    positives: int = 0
    batches: int = 0
    drifts: int = 0
    yes: Errors = Errors()
    no: Errors = Errors()

    def merge(self, other: Tally) -> Tally:
        """Both together; where each of independent workers keeps its promise (`shared_out`), all do."""
        return Tally(
            self.rows + other.rows,
            self.by_last + other.by_last,
            self.positives + other.positives,
            self.batches + other.batches,
            self.drifts + other.drifts,
            self.yes.merge(other.yes),
            self.no.merge(other.no),
        )

    @property
    def delegation(self) -> float:
        """The share of rows that the last model answered; 0 of no rows."""
        return self.by_last / self.rows if self.rows else 0.0

    def reached(self) -> tuple[float, float]:
        """Precision and recall that all rows so far have at least (prob. 1 - delta of what bounds `remaining`)."""
        right = max(self.positives + self.yes.unknown - self.yes.remaining, 0.0)
        if right == 0:
            wrong = self.yes.remaining + self.no.remaining
            return (1.0, 1.0) if wrong <= 0 else (0.0, 0.0)
        return right / (right + self.yes.remaining), right / (right + self.no.remaining)


def shared_out(target: Target, workers: int) -> Target:
    """What each of several independent workers must promise, so that all do together."""
    if workers < 1:
        raise ValueError(f"`workers` must be at least 1, got {workers!r}")
    return replace(target, delta=target.delta / workers)


class Answers(Struct, frozen=True):
    """A batch, answered: `positive` (n,) answers, `by_last` (n,) which of them the expensive model gave."""

    positive: Flags
    by_last: Flags


class Stream:
    """A worker's state: the newest labels bought (they plan the next batch) and the tally.

    `share` of the rows that may be answered cheaply are drawn in the long run, more in the first batches. Labels that
    the plan did not foresee mean that scores and answers have drifted apart: older labels are forgotten then.
    """

    def __init__(self, target: Target, share: float = 0.07, memory: int = 6000) -> None:
        target.pair()
        if not 0.01 <= share <= 1:
            raise ValueError(f"`share` must lie between 0.01 and 1, got {share!r}")
        self.target, self.share, self.memory = target, share, memory
        self.tally = Tally()
        self._scores: Floats = np.zeros(0)
        self._labels: Flags = np.zeros(0, np.bool_)

    def answer(self, scores: Floats, oracle: Oracle, rng: np.random.Generator) -> Answers:
        """Answer the next batch; after it the promise holds for all rows so far."""
        scores = checked(scores)
        desk, sure = Desk(len(scores), oracle), np.flatnonzero(np.isfinite(scores))
        desk.buy(np.flatnonzero(~np.isfinite(scores)))
        planned = len(self._scores) >= LEAST_TO_PLAN
        chances = Chances.learnt(self._scores, self._labels) if planned else None
        if chances is None and len(sure):
            desk.buy(rng.choice(sure, pilot_rows(len(sure)), replace=False))
            newest = sure[desk.bought[sure]]
            chances = Chances.learnt(scores[newest], desk.labels[newest])
        left = sure[~desk.bought[sure]]
        order = left[np.argsort(scores[left], kind="stable")]
        no, yes = self._tails(chances(scores[order]) if chances is not None else np.zeros(0), order)
        answers = self._settled(desk, no, yes, rng)
        known = np.flatnonzero(desk.bought & np.isfinite(scores))
        drift = planned and chances is not None and _surprised(chances(scores[known]), desk.labels[known], rng)
        self._remember(scores[known], desk.labels[known], drift)
        self.tally = replace(self.tally, drifts=self.tally.drifts + int(drift))
        return answers

    def _tails(self, chance: Floats, order: Rows) -> tuple[Rows, Rows]:
        """The rows to say no and yes to, safest first: as many as should hold the errors allowed by now."""
        precision, recall = self.target.pair()
        positives = self.tally.positives + self.tally.yes.unknown + float(chance.sum())
        of_no = max((1 - recall) * positives - max(self.tally.no.remaining, 0.0), 0.0)
        of_yes = max((1 - precision) / precision * recall * positives - max(self.tally.yes.remaining, 0.0), 0.0)
        no = int(np.searchsorted(np.cumsum(chance), of_no))
        yes = int(np.searchsorted(np.cumsum(1 - chance[::-1]), of_yes))
        if no + yes > len(order):
            no = len(order) * no // (no + yes)
            yes = len(order) - no
        return order[:no], order[len(order) - yes :][::-1]

    def _settled(self, desk: Desk, no: Rows, yes: Rows, rng: np.random.Generator) -> Answers:
        """Draw, label, and send on the riskiest rows until the promise holds again."""
        share = min(1.0, self.share * max(1.0, math.sqrt(10 / (self.tally.batches + 1))))
        cheap = np.zeros(len(desk.bought), np.bool_)
        cheap[no] = cheap[yes] = True
        desk.buy(np.flatnonzero(~cheap))
        sides = [(rows, rng.choice(rows, math.ceil(share * len(rows)), replace=False)) for rows in (no, yes)]
        for _, drawn in sides:
            desk.buy(drawn)
        before, wrong = self.tally, (desk.labels, ~desk.labels)
        drawn_no = before.no.drawn(int(wrong[0][sides[0][1]].sum()), len(sides[0][1]) / max(len(no), 1))
        drawn_yes = before.yes.drawn(int(wrong[1][sides[1][1]].sum()), len(sides[1][1]) / max(len(yes), 1))
        precision, recall = self.target.pair()
        while True:
            now = self._tally(desk, no, yes, drawn_no, drawn_yes)
            reached = now.reached()
            short = [rows[~desk.bought[rows]] for rows in (yes, no)]
            buy = [rows[-AT_ONCE:] for rows, r, t in zip(short, reached, (precision, recall), strict=True) if r < t]
            if not sum(len(rows) for rows in buy):
                break
            desk.buy(np.concatenate(buy))
        self.tally = now
        answers = desk.labels.copy()
        answers[yes[~desk.bought[yes]]] = True
        return Answers(answers, desk.bought)

    def _tally(self, desk: Desk, no: Rows, yes: Rows, drawn_no: Errors, drawn_yes: Errors) -> Tally:
        """All rows so far with this batch as it stands."""
        delta, before = self.target.delta / 2, self.tally

        def settled(errors: Errors, earlier: Errors, rows: Rows, wrong: Flags) -> Errors:
            bought = desk.bought[rows]
            known, unknown = earlier.known + int(wrong[rows[bought]].sum()), int((~bought).sum())
            now = replace(errors, known=known, unknown=earlier.unknown + unknown)
            # Facts bound it, too: no more errors than before but for the rows of this batch that nobody looked at.
            return replace(now, remaining=max(0.0, min(now.left(delta), earlier.remaining + unknown)))

        return Tally(
            before.rows + len(desk.bought),
            before.by_last + int(desk.bought.sum()),
            before.positives + int((desk.labels & desk.bought).sum()),
            before.batches + 1,
            before.drifts,
            settled(drawn_yes, before.yes, yes, ~desk.labels),
            settled(drawn_no, before.no, no, desk.labels),
        )

    def _remember(self, scores: Floats, labels: Flags, drift: bool) -> None:
        older = slice(0, 0) if drift else slice(None)
        self._scores = np.concatenate([self._scores[older], scores])[-self.memory :]
        self._labels = np.concatenate([self._labels[older], labels])[-self.memory :]


def _surprised(guess: Floats, labels: Flags, rng: np.random.Generator) -> bool:
    """Whether more positives, or fewer, than guessed are there, or surer guesses err more (error 3 SURPRISE).

    By more than a tenth of the rows: a guess is never quite right.
    """
    rows = rng.permutation(len(guess))
    apart, sure = (labels - guess)[rows], (2 * guess - 1)[rows]
    return any(shows_above(v, 0.1, -1.0, 1.0, SURPRISE, len(v)) for v in (apart, -apart, -apart * sure))
