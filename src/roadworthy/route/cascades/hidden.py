"""How many errors hide in rows that nobody looked at, bounded from those found in rows drawn by chance: a monoid.

It does not know what an error is, nor who draws: whoever does says with which chance each row was drawn.
"""

from __future__ import annotations

import math

import numpy as np
from msgspec import Struct
from msgspec.structs import replace
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# Bets that are made at once: great ones for the first batches, small ones for long streams.
STAKES = tuple(float(stake) for stake in np.geomspace(0.0025, 0.4, 10))
# The score of a bet that is lost for good; finite, for JSON has no infinity.
LOST = 1e12


class Errors(Struct, frozen=True):
    """What is known of one kind of error in the rows answered cheaply, of one worker or of many.

    P(ever: `total` errors exceed `most(delta)`) <= delta, whatever made the batches. A wrong row drawn with chance s
    scores t = -log(1 - (1 - exp(-stake)) / s), so E[exp(stake - t * drawn)] = 1 for each: stake * total - score is the
    log of a martingale, whose mean over the stakes exceeds 1 / delta with probability delta at most (Ville 1939;
    mixtures of stakes: Robbins 1970; weights by chance: Horvitz & Thompson 1952).
    """

    scores: tuple[float, ...] = (0.0,) * len(STAKES)
    known: int = 0
    unknown: int = 0
    remaining: float = 0.0

    def merge(self, other: Errors) -> Errors:
        """Both together; `remaining` bounds add up."""
        scores = tuple(min(a + b, LOST) for a, b in zip(self.scores, other.scores, strict=True))
        unknown, remaining = self.unknown + other.unknown, self.remaining + other.remaining
        return Errors(scores, self.known + other.known, unknown, remaining)

    def drawn(self, wrong: Floats, least: float) -> Errors:
        """After draws: `wrong` are the chances of the drawn rows that are wrong, `least` that of any row, drawn or not.

        A stake that is too great for the least chance is lost: no score could make up for an error there.
        """
        more = scored(wrong).sum(axis=0) if len(wrong) else np.zeros(len(STAKES))
        thin = -np.expm1(-np.array(STAKES)) >= least
        found = np.minimum(np.where(thin, LOST, np.array(self.scores) + more), LOST)
        return replace(self, scores=tuple(found.tolist()))

    def settled(self, known: int, unknown: int, delta: float) -> Errors:
        """With `known` more errors found and set right, and `unknown` more rows that nobody looked at."""
        now = replace(self, known=self.known + known, unknown=self.unknown + unknown)
        # Facts bound it, too: no more errors than before but for the rows that came and were not looked at.
        return replace(now, remaining=max(0.0, min(now.most(delta) - now.known, self.remaining + unknown)))

    def most(self, delta: float) -> float:
        """At most so many errors there are in all, found or not."""
        stakes, scores = np.array(STAKES), np.array(self.scores)
        least = math.log(len(STAKES) / delta)
        found = float(((least + scores) / stakes).min())
        # The log of the capital is convex and rises: from the right Newton's steps never fall below the root.
        for _ in range(60):
            bets = stakes * found - scores
            parts = np.exp(bets - bets.max())
            over = float(bets.max() + np.log(parts.sum())) - least
            if over < 1e-9:
                break
            found -= over * float(parts.sum()) / float(parts @ stakes)
        return max(found, 0.0)


def scored(chances: Floats) -> Floats:
    """What a wrong row that was drawn with such a chance scores, for each stake (n, stakes); LOST where too thin."""
    left = 1 + np.expm1(-np.array(STAKES)) / np.asarray(chances)[:, None]
    return np.where(left > 0, -np.log(np.maximum(left, 1e-300)), LOST)
