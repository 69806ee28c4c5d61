"""The plan of a batch of a stream: how far to answer cheaply, and with what chance each such row is drawn and labelled.

It works on guesses. A bad guess costs labels and rows sent on, never the promise.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.route.cascades.fits import Target
from roadworthy.route.cascades.hidden import STAKES, Errors, scored

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]

# Multiples of the square root of the guessed chance to err, with which rows are drawn: that spends labels best.
SCALES = np.geomspace(0.1, 2.0, 8)
# No row is drawn seldomer than this over the square root of the errors allowed: stakes that are too great for the least
# chance are lost for all batches to come, and so few errors as are allowed at first need great stakes.
LEAST = 1.8
# A row is not answered cheaply where it is guessed wrong oftener than this: its error is better spent later.
RISKIEST = 0.75
# The plan is made for blocks of rows, so many at most.
ENDS = 100


class Reach(NamedTuple):
    """The first `end` rows, safest first, are answered cheaply, and each is drawn with its chance of `chances`."""

    end: int
    chances: Floats

    def cut(self, end: int) -> Reach:
        """No further than to `end`."""
        return self if self.end <= end else Reach(end, self.chances[:end])


def allowed_errors(target: Target, positives: float, rows: int) -> tuple[float, float]:
    """About how many errors may hide among all rows answered no, and among those answered yes."""
    if target.precision is None:
        return 0.0, (1 - target.share()) * rows
    precision, recall = target.pair()
    return (1 - recall) * positives, (1 - precision) / precision * recall * positives


def furthest(wrong: Floats, errors: Errors, allowed: float, delta: float) -> Reach:
    """`wrong` is the guessed chance of an error of each row, safest first; `allowed` so many errors may hide in all.

    The end and the draws that leave most rows neither drawn nor sent on, if the guesses are right.
    """
    risky = wrong > RISKIEST
    wrong = wrong[: int(np.argmax(risky)) if risky.any() else len(wrong)]
    if not len(wrong) or allowed <= errors.remaining:
        return Reach(0, np.zeros(0))
    ends = np.unique(np.linspace(0, len(wrong), ENDS + 1).astype(np.int64))
    sizes = np.diff(ends)
    means = np.add.reduceat(wrong, ends[:-1]) / sizes
    least = min(1.0, LEAST / math.sqrt(max(allowed, 1.0)))
    chances = _chances(means[None], SCALES[:, None], least)
    drawn = np.cumsum(sizes * chances, axis=1)
    fits = _hidden(means * sizes, chances, drawn, ends[1:], errors, delta) <= allowed
    # Beyond an end that does not fit a later one may: it is the furthest that counts.
    kept = np.where(fits, ends[1:] - drawn, 0.0)
    furthest_fit = np.where(fits.any(axis=1), fits.shape[1] - 1 - np.argmax(fits[:, ::-1], axis=1), 0)
    best = int(np.argmax(kept[np.arange(len(SCALES)), furthest_fit]))
    end = int(ends[1:][furthest_fit[best]]) if fits[best].any() else 0
    return Reach(end, _chances(wrong[:end], SCALES[best], least))


def _chances(wrong: Floats, scale: Floats | float, least: float) -> Floats:
    """With which chance rows are drawn that are guessed wrong with theirs."""
    return np.asarray(np.clip(scale * np.sqrt(wrong), least, 1.0))


def apart(no: Reach, yes: Reach, n: int) -> tuple[Reach, Reach]:
    """Both, shortened in proportion where they would meet among `n` rows."""
    if no.end + yes.end <= n:
        return no, yes
    here = n * no.end // (no.end + yes.end)
    return no.cut(here), yes.cut(n - here)


def _hidden(wrong: Floats, chances: Floats, drawn: Floats, ends: Rows, errors: Errors, delta: float) -> Floats:
    """The guessed bound on errors that hide, were the first blocks of rows answered cheaply (scales, blocks).

    `wrong` errors are in each block, whose rows are drawn with its chance; `drawn` rows up to the end of each.
    """
    found = wrong * chances
    score = scored(chances.ravel()).reshape(*chances.shape, len(STAKES))
    scores = np.cumsum(found[..., None] * score, axis=1) + np.array(errors.scores)
    lost = -np.expm1(-np.array(STAKES)) >= np.minimum.accumulate(chances, axis=1)[..., None]
    most = np.where(lost, np.inf, (math.log(len(STAKES) / delta) + scores) / np.array(STAKES)).min(axis=2)
    return np.asarray(np.minimum(most - errors.known - np.cumsum(found, axis=1), errors.remaining + ends - drawn))
