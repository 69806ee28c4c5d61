"""Logistic regression with a ridge on sparse rows, its strength chosen on rows that were left out."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from roadworthy.core.stats import log_losses
from roadworthy.route.routers.sparse import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

_KEPT = 8
_MOST_STEPS = 200


class Line(NamedTuple):
    """A linear model: log-odds are the weighted sum of a row plus the intercept."""

    weights: NDArray[np.float64]
    intercept: float

    def odds(self, rows: Rows) -> NDArray[np.float64]:
        """The log-odds of each row."""
        return rows.times(self.weights) + self.intercept


class Folded(NamedTuple):
    """A line for each column of labels, and each row's log-odds (n, columns) by lines that were fitted without it."""

    lines: tuple[Line, ...]
    left_out: NDArray[np.float64]
    ridge: float


def sigmoid(odds: NDArray[np.float64]) -> NDArray[np.float64]:
    """Probabilities of log-odds; as a tanh, which cannot overflow."""
    return np.asarray(0.5 + 0.5 * np.tanh(0.5 * odds))


def fit_line(
    rows: Rows, labels: NDArray[np.float64], ridge: float, weights: NDArray[np.float64], start: Line | None = None
) -> Line:
    """The most likely line, less `ridge` / 2 times its squared weights; row k counts `weights[k]` times."""

    def loss(point: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        odds = rows.times(point[:-1]) + point[-1]
        gaps = weights * (sigmoid(odds) - labels)
        slope = np.append(rows.summed(gaps) + ridge * point[:-1], gaps.sum())
        likely = weights @ (np.logaddexp(0.0, odds) - labels * odds)
        return float(likely + ridge / 2 * (point[:-1] @ point[:-1])), slope

    share = float(np.clip(weights @ labels / weights.sum(), 1e-6, 1 - 1e-6))
    first = np.zeros(rows.width + 1) if start is None else np.append(start.weights, start.intercept)
    if start is None:
        first[-1] = np.log(share / (1 - share))
    found = minimised(loss, first, tolerance=1e-5 * float(weights.sum()))
    return Line(found[:-1], float(found[-1]))


def minimised(
    loss: Callable[[NDArray[np.float64]], tuple[float, NDArray[np.float64]]],
    start: NDArray[np.float64],
    tolerance: float,
) -> NDArray[np.float64]:
    """Where a smooth convex loss is least: L-BFGS (Liu & Nocedal 1989) with halved steps (Armijo)."""
    at, (value, slope) = start, loss(start)
    moves: deque[tuple[NDArray[np.float64], NDArray[np.float64], float]] = deque(maxlen=_KEPT)
    for _ in range(_MOST_STEPS):
        if float(np.linalg.norm(slope)) < tolerance:
            break
        way = _direction(slope, moves)
        step, falls = (1.0 if moves else 1.0 / max(1.0, float(np.linalg.norm(slope)))), float(slope @ way)
        while step > 1e-10:
            new_value, new_slope = loss(at + step * way)
            if new_value <= value + 1e-4 * step * falls:
                break
            step /= 2
        else:
            break
        turn = new_slope - slope
        if (along := float(turn @ way)) > 0:
            moves.append((step * way, turn, 1.0 / (step * along)))
        at, value, slope = at + step * way, new_value, new_slope
    return at


def _direction(
    slope: NDArray[np.float64], moves: Sequence[tuple[NDArray[np.float64], NDArray[np.float64], float]]
) -> NDArray[np.float64]:
    """Downhill, as bent by the last moves: the two loops of L-BFGS."""
    way, shares = -slope, []
    for moved, turn, inverse in reversed(moves):
        share = inverse * float(moved @ way)
        shares.append(share)
        way = way - share * turn
    if moves:
        _, turn, inverse = moves[-1]
        way = way / (inverse * float(turn @ turn))
    for (moved, turn, inverse), share in zip(moves, reversed(shares), strict=True):
        way = way + (share - inverse * float(turn @ way)) * moved
    return way


def fit_folds(
    rows: Rows,
    labels: NDArray[np.float64],
    weights: NDArray[np.float64],
    folds: NDArray[np.int64],
    ridges: Sequence[float],
) -> Folded:
    """The lines of the one ridge that predicts all labels (n, columns) of each fold best from the others (log loss)."""
    odds = np.empty((len(ridges), *labels.shape))
    for fold in np.unique(folds):
        inside, outside = np.flatnonzero(folds != fold), np.flatnonzero(folds == fold)
        part, rest = rows.take(inside), rows.take(outside)
        for column in range(labels.shape[1]):
            line: Line | None = None
            # From the strongest on: each is a good start for the next.
            for k in sorted(range(len(ridges)), key=lambda k: -ridges[k]):
                line = fit_line(part, labels[inside, column], ridges[k], weights[inside], line)
                odds[k, outside, column] = line.odds(rest)
    losses = [float((weights[:, None] * log_losses(labels, sigmoid(table))).sum()) for table in odds]
    best = int(np.argmin(losses))
    lines = tuple(fit_line(rows, column, ridges[best], weights) for column in labels.T)
    return Folded(lines, odds[best], ridges[best])


def stretched(found: Folded, labels: NDArray[np.float64], weights: NDArray[np.float64]) -> Folded:
    """Lines whose chances are honest, as the left-out rows want them (Platt 1999), all stretched alike.

    Lines that are stretched each by its own slope differ by the noise of two slopes, and it is their difference that
    routes. A slope below 0 says that the features mean nothing: then every row has the same chance.
    """
    n, columns = labels.shape
    which = np.tile(np.eye(columns), (n, 1))
    design = Rows.dense(np.column_stack([found.left_out.reshape(-1), which[:, 1:]]))
    stretch = fit_line(design, labels.reshape(-1), 1e-3, np.repeat(weights, columns))
    slope = max(0.0, float(stretch.weights[0]))
    shifts = stretch.intercept + np.append(0.0, stretch.weights[1:])
    lines = tuple(
        Line(slope * line.weights, slope * line.intercept + float(shift))
        for line, shift in zip(found.lines, shifts, strict=True)
    )
    return Folded(lines, slope * found.left_out + shifts, found.ridge)
