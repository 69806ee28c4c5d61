"""What late labels say of a calibration, kept as a few sums that fade, from which it can be fitted at any time."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from roadworthy.core.errors import SpecError
from roadworthy.serve.calibration.applied import Scores, logits_of
from roadworthy.serve.calibration.logistic import LEAST, clipped, platt_targets, sigmoid
from roadworthy.serve.wrappers.beta_calibrated import BetaCalibrated, curve_of
from roadworthy.serve.wrappers.calibrated import Calibrated, line_of
from roadworthy.serve.wrappers.temperature import Temperature

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

Numbers = Mapping[str, float]
# The width of a bin of log-odds: within one the logistic curve is as good as straight.
WIDTH = 0.25
BINS = 2 * math.ceil(math.log(1 / LEAST) / WIDTH)
LOG_TEMPERATURES = np.linspace(math.log(0.1), math.log(10.0), 41)


class Sums(NamedTuple):
    """How a kind of calibration is learnt: `shape` of its sums, what rows add to them, and what they make of it."""

    shape: tuple[int, int]
    add: Any
    fit: Any


def sums_for(leaf: Any) -> Sums:
    """How the numbers of this wrapper are learnt. Raises SpecError for one whose numbers are not a handful."""
    if isinstance(leaf, Calibrated):
        return Sums((3, BINS), add_odds, fit_line)
    if isinstance(leaf, BetaCalibrated):
        return Sums((3, BINS), add_odds, fit_curve)
    if isinstance(leaf, Temperature):
        of = leaf.of
        return Sums((2, len(LOG_TEMPERATURES)), lambda y, s: add_losses(y, s, of), fit_temperature)
    name = getattr(leaf, "catalog_name", type(leaf).__name__)
    raise SpecError(f"{name!r} cannot be fitted again from sums; allowed: calibrated, beta_calibrated, temperature")


def add_odds(labels: Floats, probabilities: Floats) -> Floats:
    """Rows, labels and log-odds of each bin of log-odds (3, bins)."""
    p = clipped(probabilities)
    odds = np.log(p) - np.log1p(-p)
    place = np.clip(np.floor(odds / WIDTH).astype(np.int64) + BINS // 2, 0, BINS - 1)
    return np.stack([np.bincount(place, weight, BINS) for weight in (np.ones(len(p)), labels, odds)])


def fit_line(sums: Floats) -> Numbers | None:
    """Slope and intercept by Platt; None while one class is all that was seen."""
    rows = _rows(sums)
    if rows is None:
        return None
    slope, intercept = line_of(*rows)
    return {"slope": slope, "intercept": intercept}


def fit_curve(sums: Floats) -> Numbers | None:
    """The numbers of beta calibration; None while one class is all that was seen."""
    rows = _rows(sums)
    if rows is None:
        return None
    near_zero, near_one, intercept = curve_of(*rows)
    return {"near_zero": near_zero, "near_one": near_one, "intercept": intercept}


def _rows(sums: Floats) -> tuple[Floats, Floats, Floats] | None:
    """Each bin as one row: its middle probability, Platt's target for its rate, and how many rows it stands for."""
    weights, hits, odds = (row[sums[0] > 0] for row in sums)
    # Less than one row of a class, once the others have faded, tells nothing of it.
    if min(hits.sum(), (weights - hits).sum()) < 1:
        return None
    return sigmoid(odds / weights), platt_targets(hits / weights, weights), weights


def add_losses(labels: Floats, scores: Floats, of: Scores) -> Floats:
    """Rows, and the log loss that they would have at each of some temperatures (2, temperatures)."""
    logits, truth = logits_of(scores, of), labels.astype(np.int64)
    losses = np.empty(len(LOG_TEMPERATURES))
    for k, temperature in enumerate(np.exp(LOG_TEMPERATURES).tolist()):
        scaled = logits / temperature
        top = scaled.max(axis=1)
        entropy = top + np.log(np.exp(scaled - top[:, None]).sum(axis=1))
        losses[k] = float((entropy - scaled[np.arange(len(truth)), truth]).sum())
    return np.stack([np.full(len(losses), float(len(truth))), losses])


def fit_temperature(sums: Floats) -> Numbers | None:
    """The temperature of the least loss, on the parabola through the three best of those tried."""
    losses = sums[1]
    best = int(losses.argmin())
    if not 0 < best < len(losses) - 1:
        return {"temperature": float(math.exp(LOG_TEMPERATURES[best]))}
    left, middle, right = losses[best - 1 : best + 2].tolist()
    bend = left - 2 * middle + right
    moved = 0.5 * (left - right) / bend if bend > 0 else 0.0
    return {"temperature": math.exp(LOG_TEMPERATURES[best] + moved * (LOG_TEMPERATURES[1] - LOG_TEMPERATURES[0]))}
