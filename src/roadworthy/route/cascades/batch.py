"""Answer a batch of rows whose scores are known, buying as few answers of the expensive model as the promise allows.

Labels bought are never thrown away: those rows are answered by their label. The promise is about the batch as it is
answered in the end, whatever its order and wherever it comes from.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.bounds import lower_count
from roadworthy.core.errors import BadData
from roadworthy.core.floats import floats
from roadworthy.core.measure import Measurement
from roadworthy.route.cascades.certify import furthest_count, least_rows
from roadworthy.route.cascades.consistency import delta_left
from roadworthy.route.cascades.design import Chances, Plan, cuts_of, pilot_rows, plan
from roadworthy.route.cascades.fits import CascadeFit, Level, Target
from roadworthy.route.cascades.frontier import guessed_curve

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Flags = NDArray[np.bool_]
Oracle = Callable[[Rows], Flags | Floats]  # the expensive model's answers to the rows with these numbers

# Part of delta for what else must be known: how many positives there are.
ASIDE = 0.05


@dataclass(frozen=True)
class Answered:
    """The batch, answered: `positive` (n,) answers, `by_last` (n,) which of them the expensive model gave.

    `failed` (n,) rows have no answer: the expensive model was asked and gave none.
    """

    positive: Flags
    by_last: Flags
    failed: Flags
    fit: CascadeFit


class Desk:
    """Where answers of the expensive model are bought, each row once; NaN is none, and makes the row `failed`."""

    def __init__(self, n: int, oracle: Oracle) -> None:
        self.bought = np.zeros(n, np.bool_)
        self.labels = np.zeros(n, np.bool_)
        self.failed = np.zeros(n, np.bool_)
        self._oracle = oracle

    def buy(self, rows: Rows) -> None:
        """Have these rows answered, those that are not yet."""
        new = np.unique(rows[~self.bought[rows]])
        if len(new):
            given = floats(self._oracle(new), "the last model's answers")
            if given.shape != new.shape or not (np.isnan(given) | np.isin(given, (0.0, 1.0))).all():
                raise BadData(
                    f"the last model must answer each of {len(new)} rows with 0 or 1, or NaN for none; it answered "
                    f"{given[:5].tolist()} (shape {given.shape})"
                )
            self.labels[new], self.failed[new] = given > 0.5, np.isnan(given)
            self.bought[new] = True


@dataclass(frozen=True)
class _Side:
    """The rows that might be answered cheaply in one way, safest first, and what was drawn from them."""

    rows: Rows
    plan: Plan
    drawn: Rows

    @classmethod
    def drawn_from(cls, rows: Rows, found: Plan, rng: np.random.Generator) -> _Side:
        end = int(found.ends[-1])
        return cls(rows, found, np.sort(rng.choice(end, min(found.draws, end), replace=False)).astype(np.int64))

    @property
    def end(self) -> int:
        return int(self.plan.ends[-1])


def answer_batch(
    scores: Floats,
    oracle: Oracle,
    target: Target,
    rng: np.random.Generator,
    chances: Chances | None = None,
    flips: float = 0.0,
) -> Answered:
    """Two answers: `scores` are the cheap model's probabilities of the positive one, NaN where it has none.

    A few rows are labelled first to plan with (none where `chances` are known from earlier rows), then some of those
    that might be answered cheaply, drawn at random: how many is part of the plan. `flips` is how often the expensive
    model would contradict itself (`consistency.flip_rate`).
    """
    precision, recall = target.pair()
    scores = checked(scores)
    desk, sure = Desk(len(scores), oracle), np.flatnonzero(np.isfinite(scores))
    least = least_rows(min(precision, recall), target.delta / 2)
    if len(sure) < 2 * least:
        why = f"{len(sure)} rows with a score are fewer than the {2 * least} that could show anything"
        return _all_sent(desk, target, why)
    if chances is None:
        desk.buy(rng.choice(sure, pilot_rows(len(sure)), replace=False))
        chances = Chances.learnt(scores[desk.bought], desk.labels[desk.bought])
    return _certified(scores, desk, sure, target, chances, flips, rng)


def _certified(
    scores: Floats, desk: Desk, sure: Rows, target: Target, chances: Chances, flips: float, rng: np.random.Generator
) -> Answered:
    left = sure[~desk.bought[sure]]
    order = left[np.argsort(scores[left], kind="stable")]
    guess = chances(scores[order])
    reject, accept = _sides(scores, order, guess, desk, target, rng)
    curve = guessed_curve(guess, reject.plan.ends, accept.plan.ends, int(desk.labels.sum()), len(scores))
    # Between the tails nothing is cheap whatever the labels say: all of it is bought at once.
    middle = order[reject.end : len(order) - accept.end]
    desk.buy(np.concatenate([middle, reject.rows[reject.drawn], accept.rows[accept.drawn]]))
    desk.buy(np.flatnonzero(~np.isfinite(scores)))
    wrong_yes = ~desk.labels[accept.rows[accept.drawn]]
    # A row that nobody can answer counts as an error of whoever might have answered it cheaply.
    wrong_no = (desk.labels | desk.failed)[reject.rows[reject.drawn]]
    sampled = int((~wrong_yes).sum()) + int(desk.labels[reject.rows[reject.drawn]].sum())
    positives = int((desk.labels & desk.bought).sum()) - sampled
    delta = delta_left(target, flips)
    main, aside = delta * (1 - ASIDE) / 2, delta * ASIDE / 2
    found_yes = positives + lower_count(int((~wrong_yes).sum()), accept.end, len(wrong_yes), aside)
    missed = int(desk.labels[reject.rows[reject.drawn]].sum())
    found = found_yes + lower_count(missed, reject.end, len(wrong_no), aside)
    of_yes, of_no = allowed_errors(target, found_yes, found, len(scores), flips)
    yes = furthest_count(accept.plan.ends, accept.drawn, wrong_yes, of_yes, main)
    no = furthest_count(reject.plan.ends, reject.drawn, wrong_no, of_no, main)
    level = Level(_edge(scores[order], no), _edge(-scores[order[::-1]], yes, -1.0), name="cheap")
    desk.buy(order[no : len(order) - yes])
    answers = desk.labels.copy()
    cheap = ~desk.bought
    answers[cheap] = scores[cheap] >= (level.accept_from if level.accept_from is not None else np.inf)
    tried = len(accept.plan.ends) + len(reject.plan.ends)
    return Answered(
        answers, desk.bought & ~desk.failed, desk.failed, replace(_fit(desk, target, level, tried, flips), curve=curve)
    )


def allowed_errors(target: Target, found_yes: int, found: int, n: int, flips: float) -> tuple[int, int]:
    """How many rows may wrongly be answered yes, and no, given that so many positives exist at least.

    `found_yes` of the `found` positives are answered yes whatever the thresholds; a fixed number, so that the order of
    the tests is fixed, too. Where the expensive model contradicts itself at the rate `flips`, its answers use up part.
    """
    precision, recall = target.pair()
    odds = (1 - precision) / precision
    of_yes = odds * found_yes * (1 - flips) - flips * (n - found)
    of_no = found * (1 - recall / (1 - flips))
    return int(np.floor(of_yes + 1e-9)), int(np.floor(of_no + 1e-9))


def _sides(
    scores: Floats, order: Rows, chance: Floats, desk: Desk, target: Target, rng: np.random.Generator
) -> tuple[_Side, _Side]:
    """The rows that might be rejected and those that might be accepted, and the draws from both."""
    precision, recall = target.pair()
    positives = float(chance.sum()) + float(desk.labels[desk.bought].sum())
    of_no = (1 - recall) * positives
    of_yes = (1 - precision) / precision * recall * positives
    no = plan(chance, cuts_of(scores[order]), of_no, target.delta / 2)
    yes = plan(1 - chance[::-1], cuts_of(scores[order][::-1]), of_yes, target.delta / 2)
    no, yes = _apart(no, yes, len(order))
    return _Side.drawn_from(order, no, rng), _Side.drawn_from(order[::-1], yes, rng)


def _apart(one: Plan, other: Plan, n: int) -> tuple[Plan, Plan]:
    """The plans of both ends, shortened where they would meet."""
    here, there = int(one.ends[-1]), int(other.ends[-1])
    if here + there <= n:
        return one, other
    part = n * here // (here + there)
    return _shortened(one, part), _shortened(other, n - part)


def _shortened(found: Plan, most: int) -> Plan:
    ends = found.ends[found.ends <= most]
    ends = ends if len(ends) else np.zeros(1, np.int64)
    return Plan(ends, round(found.draws * float(ends[-1]) / float(found.ends[-1])))


def _edge(ordered: Floats, count: int, sign: float = 1.0) -> float | None:
    """The score that parts the first `count` rows from the others."""
    if count == 0:
        return None
    if sign < 0:
        return float(-ordered[count - 1])
    return float(ordered[count]) if count < len(ordered) else float(np.nextafter(ordered[-1], 2.0))


def _fit(desk: Desk, target: Target, level: Level, tried: int, flips: float) -> CascadeFit:
    n, bought = len(desk.bought), int(desk.bought.sum())
    share = bought / n if n else 1.0
    words = (
        f"{target.words} for these {n:,} rows, exact for sampling without putting back; "
        f"{bought:,} answered by the last model"
    )
    delegation = Measurement("delegation", share, n, share, share)
    return CascadeFit(target, "batch", (level,), n, bought, delegation, words, bought, tried, flips or None)


def _all_sent(desk: Desk, target: Target, why: str) -> Answered:
    desk.buy(np.arange(len(desk.bought)))
    return Answered(desk.labels, ~desk.failed, desk.failed, _fit(desk, target, Level(name="cheap"), 0, 0.0).shut(why))


def checked(scores: Floats) -> Floats:
    """The scores as floats, where they are probabilities or NaN."""
    found = floats(scores, "scores")
    if found.ndim != 1:
        raise BadData(f"scores are one probability a row, got an array of shape {found.shape}")
    outside = (found < 0) | (found > 1)
    if outside.any():
        row = int(np.flatnonzero(outside)[0])
        raise BadData(
            f"{int(outside.sum()):,} scores are not probabilities, such as {float(found[row])!r} in row {row}; "
            "calibrate the cheap model first (`roadworthy calibrate`) or give its probability"
        )
    return found
