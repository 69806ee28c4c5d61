"""Bounds on a mean that hold at all looks together: for a random sample of known rows, and for a stream that drifts."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Means tried between 0 and 1. The bounds are moved out to the next one, so a coarse grid is safe, only wider.
GRID = 1001
# No bet risks more than this part of the capital (Waudby-Smith & Ramdas 2024 advise 1/2 to 3/4).
RISKED = 0.75
# The weight of the guesses begins at 1, as if so many labels had shown that they are right.
TRUSTED_FOR = 20
_CHUNK = 32


class Bounds(NamedTuple):
    """After each value (t,): the estimate, and the bounds that hold for all t at once with probability 1 - alpha."""

    value: Floats
    low: Floats
    high: Floats


def sampled_bounds(
    values: Floats,
    population: int,
    alpha: float,
    guesses: Floats | None = None,
    all_guesses: Floats | None = None,
    planned: int | None = None,
) -> Bounds:
    """Bounds on the mean of `population` rows, from values in [0, 1] of rows drawn in random order, none put back.

    The rows may be anything, drifting too: only the order of drawing is by chance. It is the betting confidence
    sequence of Waudby-Smith & Ramdas (2024), "Estimating means of bounded random variables by betting", without
    replacement (their section 5): for each mean m two gamblers bet that the next value is above, or below, what m and
    the values so far leave for the rest; m is out once a capital has grown 2/alpha-fold (Ville 1939). Their stakes
    are best for `planned` values (the number given where not said), and the bounds hold after any other number.

    `guesses` (t,) in [0, 1] foretell the values, `all_guesses` (population,) are those of all rows. They enter as a
    control variate with the weight that past values show to be best, which is prediction-powered inference with
    tuning (Angelopoulos et al. 2023; PPI++, Angelopoulos, Duchi & Zrnic 2023). Bad guesses make no bound wrong.
    """
    n = len(values)
    if not n:
        return Bounds(np.empty(0), np.empty(0), np.empty(0))
    if guesses is None or all_guesses is None:
        guesses, all_guesses = np.zeros(n), np.zeros(1)
    average = float(all_guesses.mean())
    weight = _weights(values, guesses - average, float(all_guesses.var()))
    stakes = _stakes(values - weight[:n] * (guesses - average), alpha, planned or n)
    # What m and the values so far leave for the mean of the rest; and the same, known exactly, for the guesses.
    rest = population - np.arange(n)
    before = np.concatenate([[0.0], np.cumsum(values)[:-1]])
    expected_guess = (population * average - np.concatenate([[0.0], np.cumsum(guesses)[:-1]])) / rest
    steps = _Steps(
        values - weight[:n] * (guesses - expected_guess),
        before / rest,
        population / rest,
        weight[:n] * (float(all_guesses.max()) - expected_guess),
        weight[:n] * (expected_guess - float(all_guesses.min())),
        stakes,
    )
    low, high = _surviving(steps, alpha)
    low, high = _reachable(low, high, values, population)
    t = np.arange(1, n + 1)
    value = np.cumsum(values) / t - weight[1:] * (np.cumsum(guesses) / t - average)
    return Bounds(np.clip(value, low, high), low, high)


def drifting_bounds(values: Floats, alpha: float, farthest: float, expected_variance: float) -> Bounds:
    """Bounds on the running average of what each value was expected to be, whatever that did: drift is allowed.

    Empirical-Bernstein confidence sequence with values of at most `farthest` either way (Howard, Ramdas, McAuliffe &
    Sekhon 2021, theorem 4, with 0 as the predictable guess), as a discrete mixture over the size of the bet. It is
    narrowest once the squares of the values add up to `expected_variance`.
    """
    t = np.arange(1, len(values) + 1)
    average = np.cumsum(values) / t
    half = _stray(np.cumsum(values * values), alpha / 2, farthest, expected_variance) / t
    return Bounds(average, average - half, average + half)


class _Steps(NamedTuple):
    """What each bet is about, (t,) each: it wins `value` less the expectation under m, which is `grown` m - `gone`."""

    value: Floats
    gone: Floats
    grown: Floats
    above: Floats
    below: Floats
    stake: Floats


def _weights(values: Floats, guesses: Floats, spread: float) -> Floats:
    """The weight of the (centred) guesses before each value, and after the last one: (t + 1,), each from the past."""
    so_far = np.concatenate([[0.5], (0.5 + np.cumsum(values)) / (1 + np.arange(1, len(values) + 1))])
    together = np.cumsum((values - so_far[:-1]) * guesses)
    alone = np.cumsum(guesses * guesses)
    start = TRUSTED_FOR * spread
    if start <= 0:
        return np.zeros(len(values) + 1)
    best = (np.concatenate([[0.0], together]) + start) / (np.concatenate([[0.0], alone]) + start)
    return np.clip(best, 0.0, 1.0)


def _stakes(residuals: Floats, alpha: float, planned: int) -> Floats:
    """The stake before each value: best for `planned` values of the variance seen so far."""
    t = np.arange(1, len(residuals) + 1)
    means = (0.5 + np.cumsum(residuals)) / (t + 1)
    squares = np.cumsum((residuals - means) ** 2)
    variance = np.concatenate([[0.25], (0.25 + squares[:-1]) / (t[:-1] + 1)])
    return np.asarray(np.sqrt(2 * math.log(2 / alpha) / (np.maximum(variance, 1e-6) * planned)))


def _surviving(steps: _Steps, alpha: float) -> tuple[Floats, Floats]:
    """The least and the greatest mean that no gambler has ruled out, after each value."""
    means, n = np.linspace(0.0, 1.0, GRID), len(steps.value)
    capital, most = np.zeros((2, GRID)), np.full(GRID, -np.inf)
    low, high = np.zeros(n), np.ones(n)
    limit, bounds = math.log(2 / alpha), (0.0, 1.0)
    for start in range(0, n, _CHUNK):
        part = _Steps(*(column[start : start + _CHUNK, None] for column in steps))
        up, down, impossible = _growth(part, means)
        for side, growth in enumerate((up, down)):
            growth[0] += capital[side]
            np.cumsum(growth, axis=0, out=growth)
            capital[side] = growth[-1]
        best = np.where(impossible, np.inf, np.maximum(up, down))
        best[0] = np.maximum(best[0], most)
        best = np.maximum.accumulate(best, axis=0)
        most = best[-1]
        for k, alive in enumerate(best < limit):
            bounds = _ends(alive, means, bounds)
            low[start + k], high[start + k] = bounds
        # What is out stays out; one mean on either side is kept to say where it ends.
        left = np.flatnonzero(most < limit)
        if len(left):
            kept = slice(max(0, int(left[0]) - 1), int(left[-1]) + 2)
            means, capital, most = means[kept], capital[:, kept], most[kept]
    return low, high


def _growth(part: _Steps, means: Floats) -> tuple[Floats, Floats, NDArray[np.bool_]]:
    """How the log capital of both gamblers grows with each value (rows) under each mean (columns)."""
    expected = part.grown * means - part.gone
    # A mean that leaves the rest below 0 or above 1 cannot be; the slack is for rounding.
    impossible = (expected < -1e-9) | (expected > 1 + 1e-9)
    expected = np.clip(expected, 0.0, 1.0)
    won = part.value - expected
    up = np.log1p(np.minimum(part.stake, RISKED / (expected + part.above + 1e-12)) * won)
    down = np.log1p(-np.minimum(part.stake, RISKED / (1 - expected + part.below + 1e-12)) * won)
    return up, down, impossible


def _ends(alive: NDArray[np.bool_], means: Floats, before: tuple[float, float]) -> tuple[float, float]:
    """The bounds that the surviving means leave, moved out to the next mean of the grid; they only ever narrow."""
    first = int(alive.argmax())
    if not alive[first]:
        return before  # what survives lies between two means of the grid
    last = len(alive) - 1 - int(alive[::-1].argmax())
    low, high = float(means[max(0, first - 1)]), float(means[min(len(means) - 1, last + 1)])
    return max(low, before[0]), min(high, before[1])


def _reachable(low: Floats, high: Floats, values: Floats, population: int) -> tuple[Floats, Floats]:
    """The bounds, no wider than what the rows that are left could still make of the mean."""
    total, left = np.cumsum(values), population - np.arange(1, len(values) + 1)
    return np.maximum(low, total / population), np.minimum(high, (total + left) / population)


def _stray(variance: Floats, alpha: float, farthest: float, expected_variance: float) -> Floats:
    """How far a sum strays from what is expected of it: above this, at any time, with probability at most alpha."""
    best = math.sqrt(2 * math.log(1 / alpha) / max(expected_variance, 1e-12))
    bets = np.minimum(best * 2.0 ** np.arange(-6, 7), 0.95 / farthest)
    weights = 2.0 ** -np.abs(np.arange(-6, 7))
    logs = np.log(weights / weights.sum())
    cost = (-np.log1p(-bets * farthest) - bets * farthest) / farthest**2
    low, high = np.zeros(len(variance)), np.full(len(variance), 1.0)
    limit = math.log(1 / alpha)

    def capital(stray: Floats) -> Floats:
        found = logs + bets * stray[:, None] - cost * variance[:, None]
        top = found.max(axis=1)
        return np.asarray(top + np.log(np.exp(found - top[:, None]).sum(axis=1)))

    while bool((capital(high) < limit).any()):
        high *= 2
    for _ in range(40):
        middle = (low + high) / 2
        enough = capital(middle) >= limit
        low, high = np.where(enough, low, middle), np.where(enough, middle, high)
    return high
