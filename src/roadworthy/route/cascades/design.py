"""The plan of a certification: which thresholds to try, in which order, and how many rows to have labelled.

It works on guesses from a few labelled rows. A bad guess costs labels and rows sent on, never the guarantee.
"""

from __future__ import annotations

from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

# Parts of the errors allowed by the guess, tried one after the other: beyond 1, as the guess may be too high.
PARTS = np.concatenate([np.arange(0.3, 0.7, 0.1), np.arange(0.7, 1.3, 0.025)])
STEPS = 20
DEGREE = 3


@dataclass(frozen=True)
class Chances:
    """A smooth guess of P(positive | score): a logistic curve in powers of the score's log odds (Newton, ridge)."""

    coefficients: Floats
    centre: float
    spread: float

    @classmethod
    def learnt(cls, scores: Floats, labels: NDArray[np.bool_], degree: int = DEGREE, ridge: float = 0.01) -> Chances:
        """From labelled rows, however few; both classes need not be among them. Without rows it is a half."""
        if not len(scores):
            return cls(np.zeros(degree + 1), 0.0, 1.0)
        odds = log_odds(scores)
        centre, spread = float(odds.mean()), float(odds.std()) or 1.0
        x = _powers((odds - centre) / spread, degree)
        y = labels.astype(np.float64)
        found, penalty = np.zeros(degree + 1), ridge * np.eye(degree + 1)
        for _ in range(30):
            p = _logistic(x @ found)
            step = np.linalg.solve(x.T @ (x * (p * (1 - p) + 1e-9)[:, None]) + penalty, x.T @ (y - p) - penalty @ found)
            # A long step overshoots where the classes hardly overlap.
            found = found + step * min(1.0, 5.0 / max(float(np.abs(step).max()), 1e-12))
            if np.abs(step).max() < 1e-6:
                break
        return cls(found, centre, spread)

    def __call__(self, scores: Floats) -> Floats:
        """The guess for each score."""
        x = _powers((log_odds(scores) - self.centre) / self.spread, len(self.coefficients) - 1)
        return _logistic(x @ self.coefficients)

    @property
    def rising(self) -> bool:
        """Whether a straight line in the log odds, and one that goes up: only then is there a score for each chance."""
        return len(self.coefficients) == 2 and bool(self.coefficients[1] > 1e-6)

    def score_at(self, chance: float) -> float:
        """The score whose guess this is, where the line is rising."""
        odds = (np.log(chance) - np.log1p(-chance) - self.coefficients[0]) / self.coefficients[1]
        return float(_logistic(np.asarray(odds * self.spread + self.centre)))


@dataclass(frozen=True)
class Plan:
    """The numbers of rows to answer cheaply that are tried in turn, safest rows first, and how many to look at.

    `draws` rows are drawn from the first `ends[-1]`.
    """

    ends: Rows
    draws: int


def plan(wrong: Floats, cuts: Rows, allowed: float, delta: float) -> Plan:
    """`wrong` is the guessed chance of an error of each row, safest first; only at `cuts` may the rows be parted.

    As many rows are drawn as make drawn rows plus rows sent on fewest: more draws narrow the bound.
    """
    errors, spread = _upto(wrong, cuts), _upto(wrong * (1 - wrong), cuts)
    z = NormalDist().inv_cdf(1 - delta)
    most, end, draws = 0.0, 0, 0
    for n in (0, *np.geomspace(30, max(31, len(wrong) / 2), 30).astype(int).tolist()):
        seen = np.minimum(n, cuts)
        bound = errors + z * np.sqrt(spread * (cuts - seen) / np.maximum(seen, 1)) + (cuts - seen) / np.maximum(seen, 1)
        fits = np.where(seen > 0, bound, cuts) <= allowed
        reached = int(cuts[fits].max(initial=0))
        if reached - n > most:
            most, end, draws = reached - n, reached, n
    ends = _ends(errors, cuts, end, allowed)
    return Plan(ends, min(int(ends[-1]), round(draws * float(ends[-1]) / end)) if end else 0)


def _ends(errors: Floats, cuts: Rows, end: int, allowed: float) -> Rows:
    """The numbers of rows whose guessed errors are the given parts of those at `end`.

    Before them a few that need no guess: from so few rows that they might all be wrong, in even steps.
    """
    if end == 0:
        return np.zeros(1, np.int64)
    here = float(errors[np.flatnonzero(cuts <= end)[-1]])
    last = np.maximum(np.searchsorted(errors, PARTS * max(here, 1e-9), side="right") - 1, 0)
    even = np.searchsorted(cuts, np.linspace(min(allowed, end), cuts[last[-1]], STEPS), side="right") - 1
    return np.unique(cuts[np.concatenate([last, np.maximum(even, 0)])])


def _upto(values: Floats, cuts: Rows) -> Floats:
    """The sum of the first so many values."""
    return np.concatenate([[0.0], np.cumsum(values)])[cuts]


def cuts_of(ordered: Floats) -> Rows:
    """Where a threshold can part ordered scores: between two that differ, before all and behind all."""
    return np.concatenate([[0], np.flatnonzero(np.diff(ordered)) + 1, [len(ordered)]]).astype(np.int64)


def log_odds(scores: Floats) -> Floats:
    """log(s / (1 - s)), kept finite."""
    inside = np.clip(scores, 1e-4, 1 - 1e-4)
    return np.asarray(np.log(inside / (1 - inside)))


def pilot_rows(n: int) -> int:
    """How many rows are labelled to make the plan from: a fiftieth, at least 150 and at most 600, where there are."""
    return min(n, max(min(150, n // 5), min(600, n // 50)))


def _powers(x: Floats, degree: int) -> Floats:
    found = np.ones((len(x), degree + 1))
    for power in range(1, degree + 1):
        np.multiply(found[:, power - 1], x, out=found[:, power])
    return found


def _logistic(x: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-np.clip(x, -30, 30))))
