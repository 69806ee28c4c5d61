"""A factor and a shift for the score of each class, found by Newton's method (vector scaling, Guo et al. 2017)."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from roadworthy.serve.calibration.applied import softmax

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]


def fit_classes(labels: NDArray[np.int64], logits: Floats, start: float, ridge: float) -> tuple[Floats, Floats]:
    """The factors (k,) and shifts (k,) of the least log loss plus `ridge` / 2 times their squared distance.

    The distance is that to `start` for every factor and 0 for every shift: it keeps classes that few rows tell of near
    what all rows tell (temperature scaling), and everything finite where classes do not overlap.
    """
    k = logits.shape[1]
    truth = np.eye(k)[labels]
    begin = np.concatenate([np.full(k, start), np.zeros(k)])
    found = begin.copy()
    for _ in range(100):
        slope, curve = _slope_and_curve(found, logits, truth)
        slope += ridge * (found - begin)
        if np.abs(slope).max() < 1e-8 * len(labels):
            break
        step = np.asarray(np.linalg.solve(curve + ridge * np.eye(2 * k), slope), np.float64)
        found = _descend(found, step, begin, logits, truth, ridge)
    return found[:k], found[k:]


def _slope_and_curve(found: Floats, logits: Floats, truth: Floats) -> tuple[Floats, Floats]:
    """The gradient (2k,) and the Hessian (2k, 2k) of the summed log loss in (factors, shifts)."""
    k = logits.shape[1]
    p = softmax(logits * found[:k] + found[k:])
    off, weighted = p - truth, logits * p
    both = np.concatenate([weighted, p], axis=1)
    curve: Floats = -(both.T @ both)
    places = np.arange(k)
    curve[places, places] += (logits * weighted).sum(axis=0)
    curve[places, places + k] += weighted.sum(axis=0)
    curve[places + k, places] += weighted.sum(axis=0)
    curve[places + k, places + k] += p.sum(axis=0)
    slope = np.concatenate([(logits * off).sum(axis=0), off.sum(axis=0)])
    return np.asarray(slope, np.float64), curve


def _descend(found: Floats, step: Floats, begin: Floats, logits: Floats, truth: Floats, ridge: float) -> Floats:
    """The first of step, step/2, step/4, ... that does not raise the loss."""
    before = _loss(found, begin, logits, truth, ridge)
    for halving in range(40):
        after = found - step * 0.5**halving
        if _loss(after, begin, logits, truth, ridge) <= before:
            return after
    return found


def _loss(found: Floats, begin: Floats, logits: Floats, truth: Floats, ridge: float) -> float:
    k = logits.shape[1]
    scores: Floats = logits * found[:k] + found[k:]
    top = scores.max(axis=1)
    entropy = top + np.log(np.exp(scores - top[:, None]).sum(axis=1)) - (scores * truth).sum(axis=1)
    return float(entropy.sum() + ridge / 2 * ((found - begin) ** 2).sum())
