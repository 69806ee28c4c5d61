"""How often the expensive model contradicts itself, from rows that it answered twice, and what that costs a promise."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike

from roadworthy.core.bounds import upper_rate
from roadworthy.core.errors import BadData
from roadworthy.route.cascades.fits import Target

# Part of a target's delta that goes into the measured contradictions.
OF_DELTA = 0.1


def flip_rate(first: ArrayLike, second: ArrayLike, target: Target) -> float:
    """A bound on how often an answer differs from the one usually given; it uses a tenth of the target's delta.

    Two answers to one row differ where one of them flipped: a share 2 f (1 - f) of rows, flips being independent.
    """
    one, other = np.asarray(first), np.asarray(second)
    if one.shape != other.shape or not len(one):
        raise BadData(f"rows answered twice are needed, got {one.shape} first and {other.shape} second answers")
    apart = upper_rate(int((one != other).sum()), len(one), OF_DELTA * target.delta)
    if apart >= 0.5:
        raise BadData(
            f"the last model contradicts itself on {int((one != other).sum()):,} of {len(one):,} rows asked twice: "
            "no promise against it means anything; lower its temperature, or ask for labels elsewhere"
        )
    return (1 - math.sqrt(1 - 2 * apart)) / 2


def delta_left(target: Target, flips: float) -> float:
    """What remains of delta for the thresholds."""
    return target.delta * (1 - OF_DELTA) if flips else target.delta


def widened(precision: float, recall: float, flips: float, positive: float) -> tuple[float, float]:
    """What must be reached against the answers at hand, so that the targets hold against those usually given.

    A flip in a positive row is missed, one in a negative row (of which there are 1 - `positive`) is a false yes.
    """
    if not flips:
        return precision, recall
    odds = (1 - precision) / precision * (1 - flips) - flips * (1 - positive) / max(positive, 1e-12)
    needed = recall / (1 - flips)
    if odds <= 0 or needed >= 1:
        raise BadData(
            f"the last model flips up to {flips:.3g} of its answers, which alone may break precision {precision:g} or "
            f"recall {recall:g}: ask it twice about more rows, make it answer steadily, or lower the target"
        )
    return 1 / (1 + odds), needed


def widened_share(share: float, flips: float) -> float:
    """The same for accuracy or agreement: flips use up part of the errors allowed."""
    if share + flips >= 1:
        raise BadData(f"the last model flips up to {flips:.3g} of its answers, which alone may break {share:g}")
    return share + flips
