"""Another mix of outcomes, seen without labels: what class rates explain the answers that a model gives now?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from roadworthy.core.measure import Measurement
from roadworthy.core.multiplicity import holm
from roadworthy.observe.drift.laws import Rows, effective
from roadworthy.observe.drift.two_sample import ks_p

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

SINGULAR = 1e-3


class Mix(NamedTuple):
    """Class rates `rates` (k,) and their standard errors, and the weight of each reference row under them."""

    rates: Floats
    errors: Floats
    weights: Floats

    def measurement(self, of: int, n: int) -> Measurement:
        """The estimated rate of one class."""
        rate, half = float(self.rates[of]), 1.96 * float(self.errors[of])
        return Measurement("estimated_rate", rate, n, max(0.0, rate - half), min(1.0, rate + half))


def mix_of(reference: Rows, current: Rows) -> Mix | None:
    """The class rates under which the reference's answers become the current ones on average; None where none do.

    Black-box shift estimation (Lipton, Wang and Smola 2018) on probabilities instead of hard predictions. `reference`
    has labels; those of `current` are not looked at. It assumes that P(x|y) stayed.
    """
    truth, old, new = _whole(reference.truth), _whole(reference.stated), _whole(current.stated)
    counts = truth.sum(axis=0)
    if counts.min() < 2:
        return None
    means = (old.T @ truth) / counts
    if np.linalg.svd(means, compute_uv=False)[-1] < SINGULAR:
        return None
    solve = np.linalg.inv(means)
    rates = np.clip(solve @ new.mean(axis=0), 0.0, None)
    rates /= rates.sum()
    spread = np.cov(new.T) / len(new) + sum(
        rates[k] ** 2 * np.cov(old[truth[:, k] > 0].T) / counts[k] for k in range(len(counts))
    )
    errors = np.sqrt(np.maximum(np.diag(solve @ spread @ solve.T), 0.0))
    return Mix(rates, errors, truth @ (rates / (counts / len(truth))))


def mix_seen(reference: Rows, current: Rows) -> Floats:
    """The weight of each reference row under the class rates that the current labels show (n,)."""
    before, after = _whole(reference.truth), _whole(current.labelled.truth).mean(axis=0)
    return np.asarray(before @ (after / np.maximum(before.mean(axis=0), 1e-9)))


def explains(weights: Floats, reference: Rows, current: Rows, alpha: float, least: float) -> bool:
    """Do reference rows of these weights look like the current ones, in each number and in what was stated?"""
    pairs = [(v, current.columns[name]) for name, v in reference.columns.items() if v.dtype != object]
    pairs += [(reference.stated[:, k], current.stated[:, k]) for k in range(reference.stated.shape[1])]
    found = [_weighted(old, new, weights) for old, new in pairs]
    adjusted = holm([p for _, p in found])
    return not any(p <= alpha and distance >= least for (distance, _), p in zip(found, adjusted, strict=True))


def _weighted(old: NDArray[Any], new: NDArray[Any], weights: Floats) -> tuple[float, float]:
    """The Kolmogorov-Smirnov distance of weighted rows, and its p-value with as many rows as the weights are worth."""
    known, now = ~np.isnan(old), np.sort(new[~np.isnan(new)])
    order = np.argsort(old[known], kind="stable")
    before, weight = old[known][order], weights[known][order]
    if not len(before) or not len(now) or weight.sum() <= 0:
        return 0.0, 1.0
    reached = np.concatenate([[0.0], np.cumsum(weight) / weight.sum()])
    places = np.concatenate([before, now])
    gap = reached[np.searchsorted(before, places, "right")] - np.searchsorted(now, places, "right") / len(now)
    distance = float(np.abs(gap).max())
    return distance, ks_p(distance, max(1, int(effective(weight))), len(now))


def _whole(values: Floats) -> Floats:
    """A probability of label 1 as one of each label."""
    return np.concatenate([1 - values, values], axis=1) if values.shape[1] == 1 else values
