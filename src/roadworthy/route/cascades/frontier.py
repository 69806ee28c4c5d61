"""What thresholds chosen with every label known would send on: the ideal that a cascade is compared with."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roadworthy.route.cascades.fits import Point

TARGETS = (0.7, 0.75, 0.8, 0.85, 0.9, 0.925, 0.95, 0.975, 0.99)


def ideal_delegation(scores: NDArray[np.float64], truth: NDArray[np.bool_], precision: float, recall: float) -> float:
    """The least share of rows between two thresholds such that precision and recall are reached; NaN is sent on."""
    known = np.isfinite(scores)
    order = np.argsort(scores[known], kind="stable")
    ordered, positive = scores[known][order], truth[known][order]
    upto = np.concatenate([[0], np.cumsum(positive)])
    n, total = len(ordered), int(truth.sum())
    cuts = np.concatenate([[0], np.flatnonzero(np.diff(ordered)) + 1, [n]])
    negatives_from = (n - cuts) - (upto[-1] - upto[cuts])
    found = total - upto[cuts]
    lows = np.flatnonzero(found >= recall * total - 1e-9)
    # Negatives above a cut fall as it rises: the first cut whose negatives are few enough accepts most.
    allowed = (1 - precision) / precision * found[lows]
    highs = len(cuts) - np.searchsorted(negatives_from[::-1], allowed + 1e-9, side="right")
    between = np.maximum(cuts[np.maximum(highs, lows)] - cuts[lows], 0)
    return (int(between.min()) + int((~known).sum())) / max(len(scores), 1)


def ideal_of_filter(scores: NDArray[np.float64], truth: NDArray[np.bool_]) -> tuple[Point, ...]:
    """The frontier: for targets of precision and recall alike, the least share sent on."""
    return tuple(Point(ideal_delegation(scores, truth, t, t), (t, t)) for t in TARGETS)


def ideal_of_confidence(confidence: NDArray[np.float64], right: NDArray[np.bool_]) -> tuple[Point, ...]:
    """The frontier of one confidence threshold: share sent on against share right, rows sent on being right."""
    order = np.argsort(-np.nan_to_num(confidence, nan=-np.inf), kind="stable")
    wrong = np.concatenate([[0], np.cumsum(~right[order])]) / max(len(right), 1)
    kept = [int(np.flatnonzero(wrong <= 1 - t + 1e-12)[-1]) for t in TARGETS]
    return tuple(Point(1 - k / max(len(right), 1), (t,)) for k, t in zip(kept, TARGETS, strict=True))


def guessed_curve(
    chance: NDArray[np.float64], rejects: NDArray[np.int64], accepts: NDArray[np.int64], positives: int, n: int
) -> tuple[Point, ...]:
    """What a batch would reach over its choices, by the guessed `chance` of each row in the order of scores.

    `positives` of the other rows are known to be so. A guess: the certificate does not rest on it.
    """
    upto, total = np.concatenate([[0.0], np.cumsum(chance)]), float(chance.sum()) + positives
    found = []
    for part in np.linspace(0, 1, 21):
        no, yes = (int(ends[round(part * (len(ends) - 1))]) for ends in (rejects, accepts))
        right = total - float(upto[no])
        wrong = yes - float(upto[-1] - upto[len(chance) - yes])
        found.append(
            Point((len(chance) - no - yes) / n, (right / max(right + wrong, 1e-12), right / max(total, 1e-12)))
        )
    return tuple(dict.fromkeys(found))
