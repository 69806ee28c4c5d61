"""Evidence and bounds that stay valid however often one looks at the data. It knows arrays, not records or gates.

An e-process starts at 1 and, while the null hypothesis holds, exceeds 1/alpha at *any* time with probability at most
alpha (Ville 1939), so a gate may look after every request and stop when it likes. Robbins (1970) mixes such processes
over alternatives; Howard, Ramdas, McAuliffe and Sekhon (2021) turn them into confidence sequences.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from roadworthy.core.stats import batch_spread

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

# How many times worse the candidate may be, and how much we bet on it. Most goes on tenfold, because a candidate that
# fails one request in a hundred where stable fails one in a thousand shows itself in three or four errors only.
RATIOS = np.array([1.25, 1.5, 2.0, 3.0, 5.0, 10.0, 30.0])
_WEIGHTS = np.array([1.0, 1.0, 4.0, 1.0, 4.0, 28.0, 1.0])
_LOG_WEIGHTS = np.log(_WEIGHTS / _WEIGHTS.sum())
_FIRST, _PLATEAU, _GROWTH = 16, 128, 16
# Enough to estimate a variance from, few enough for each to be long (Schmeiser 1982 finds 10 to 30 best).
BATCHES = 12
# A standard deviation from twelve means is itself unsure. Where the bounds lie (3 to 3.3 of them) the tail of Student's
# t with 11 degrees of freedom reaches 1.3 times as far as the normal one.
STUDENT = 1.3


def block_ends(rows: int) -> NDArray[np.int64]:
    """Where the complete blocks end among `rows` rows in time order. More rows only add ends behind.

    The places depend on nothing but the count of rows, never on arms or outcomes: the proof of `evidence` needs that.
    A block is half of all before it, then 128 rows, then a sixteenth of all before it: what waits in the unfinished
    block delays a verdict little, and the share of the candidate in a block is not mere noise.
    """
    ends = [_FIRST]
    while ends[-1] <= rows:
        so_far = ends[-1]
        ends.append(so_far + max(_FIRST, min(so_far // 2, _PLATEAU), so_far // _GROWTH))
    return np.array(ends[:-1], np.int64)


def evidence(
    candidate_hits: ArrayLike, hits: ArrayLike, candidate_rows: ArrayLike, rows: ArrayLike
) -> NDArray[np.float64]:
    """Log e-process against "the candidate is hit no more often than control", after each block (last axis).

    A block has `rows` requests, `candidate_rows` of them on the candidate, and `hits` of both arms together, of which
    `candidate_hits` fell on the candidate. Requests are dealt to the arms by chance. If the arm makes no difference,
    then, given the first three, the last counts how many of `hits` rows drawn without replacement are the
    candidate's, whatever the rate is and however it moves. For a ratio w the expectation of w**candidate_hits is
    therefore at most (1 + share (w - 1))**hits, its value for draws with replacement (Hoeffding 1963, theorem 4), so

        w**candidate_hits / (1 + share (w - 1))**hits

    is an e-value, and their product over blocks a supermartingale; it only shrinks if the candidate is better. We mix
    over RATIOS (Robbins 1970). Neither the base rate nor the share of traffic need be known. With a known share and
    one hit a block it is the test of Lindon and Malek (2022) for count processes.
    """
    x, r, k, n = (np.asarray(a, np.float64)[..., None] for a in (candidate_hits, hits, candidate_rows, rows))
    steps = x * np.log(RATIOS) - r * np.log1p(k / n * (RATIOS - 1))
    logs = np.cumsum(steps, axis=-2) + _LOG_WEIGHTS
    top = logs.max(axis=-1)
    return np.asarray(top + np.log(np.exp(logs - top[..., None]).sum(axis=-1)))


def evidence_of_split(candidate: NDArray[np.bool_], hit: NDArray[np.bool_]) -> NDArray[np.float64]:
    """`evidence` of requests in time order, each on one arm: `candidate` (n,) says which, `hit` (n,) what happened."""
    ends = block_ends(len(hit))
    if not len(ends):
        return np.zeros(0)
    starts, last = np.concatenate([[0], ends[:-1]]), ends[-1]
    x, r, k = (np.add.reduceat(a[:last].astype(np.int64), starts) for a in (candidate & hit, hit, candidate))
    return evidence(x, r, k, np.diff(ends, prepend=0))


def evidence_of_pairs(control_hit: NDArray[np.bool_], candidate_hit: NDArray[np.bool_]) -> NDArray[np.float64]:
    """`evidence` of requests that both arms answered, after each pair in which just one was hit (McNemar 1947).

    Such a pair is a block of two rows with one hit, which is the candidate's with probability 1/2 under the null.
    """
    one = control_hit != candidate_hit
    ones = np.ones(int(one.sum()))
    return evidence(candidate_hit[one], ones, ones, 2 * ones)


def rate_bounds(hits: int, n: int, alpha: float, near: float = 0.01) -> tuple[float, float]:
    """Bounds on a rate that hold at all times together with probability 1 - alpha.

    They invert the mixture likelihood ratio (Robbins 1970; Howard et al. 2021) over a mixture of
    Beta(1/2, 1/2) and Beta(1/2, 1/(2 near)): the second makes "no hit in n" nearly as telling as the rule of three.
    """
    if n == 0:
        return 0.0, 1.0
    priors = [(0.5, 0.5), (0.5, 0.5 / near)]
    logs = [log_beta(a + hits, b + n - hits) - log_beta(a, b) - math.log(2) for a, b in priors]
    limit = float(np.logaddexp(logs[0], logs[1])) + math.log(alpha)
    seen = hits / n

    def outside(rate: float) -> bool:
        up = hits * math.log(rate) if hits else 0.0
        return up + ((n - hits) * math.log1p(-rate) if n > hits else 0.0) < limit

    low = 0.0 if hits == 0 else _crossing(outside, 0.0, seen)
    return low, 1.0 if hits == n else _crossing(outside, 1.0, seen)


def gap_bounds(more: int, n_more: int, less: int, n_less: int, alpha: float) -> tuple[float, float]:
    """Bounds on one rate less another that hold at all times together with probability 1 - alpha, however few the hits.

    Each rate has its `rate_bounds` at half of alpha. Exact where `mean_bounds` is not yet: after no hit at all a
    standard deviation is 0, and says nothing.
    """
    low, high = rate_bounds(more, n_more, alpha / 2)
    other_low, other_high = rate_bounds(less, n_less, alpha / 2)
    return low - other_high, high - other_low


def mean_bounds(mean: float, spread: float, n: float, alpha: float, best_at: float) -> tuple[float, float]:
    """Asymptotic confidence sequence for a mean (Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, arXiv 2103.06476).

    `spread` is the running standard deviation of one value. The bounds are narrowest after `best_at` values. Normal
    in the limit only: look at them from some hundred values on.
    """
    if n <= 1 or not math.isfinite(spread):
        return -math.inf, math.inf
    wished = -2 * math.log(alpha)
    tuned = (wished + math.log(wished + 1)) / best_at
    grown = n * tuned + 1
    half = spread / n * math.sqrt(2 * grown / tuned * math.log(math.sqrt(grown) / alpha))
    return mean - half, mean + half


def spread_in_time(values: NDArray[np.float64]) -> float:
    """The standard deviation of one value (n,), as large as the mean of all of them makes it out to be.

    Rows that follow each other share a storm, an outage or a campaign, and the mean of n of them is less sure than n
    independent rows would make it. The means of BATCHES stretches of time show by how much (batch means: Schmeiser
    1982); the stretches grow with the data, and with them the dependence that they see. As few means give only a rough
    spread, it is taken STUDENT times as large (fixed-b asymptotics: Kiefer and Vogelsang 2005). Never below the plain
    one. Over flights it holds for storms of six hours from a day on, and of a day from three days on
    (`benchmarks/rollout`).
    """
    return batch_spread(values, BATCHES, STUDENT)


def difference_of_split(candidate: NDArray[np.bool_], value: NDArray[np.float64]) -> tuple[float, float, float]:
    """How much higher a value is on the candidate, its spread and its effective count, for `mean_bounds`.

    Rows are compared within blocks of time only (a regression on the arm with one level a block, and a variance that
    allows for dependence in time, `spread_in_time`): when the share of the candidate changes while traffic grows
    harder, plain means would differ by that. `candidate` and `value` (n,) are in time order.
    """
    ends = block_ends(len(value))
    rows = np.diff(ends, prepend=0, append=len(value))
    block = np.repeat(np.arange(len(rows)), rows)
    rows = np.maximum(rows, 1)
    arm = candidate - (np.bincount(block, candidate, len(rows)) / rows)[block]
    centred = value - (np.bincount(block, value, len(rows)) / rows)[block]
    effective = float(arm @ arm)
    if effective < 1:
        return math.nan, math.inf, 0.0
    difference = float(arm @ centred) / effective
    # What each row pulls the difference by; their sum is 0, and rows near in time pull together.
    pull = arm * (centred - difference * arm)
    return difference, spread_in_time(pull) * math.sqrt(len(value) / effective), effective


def log_beta(a: float, b: float) -> float:
    """The logarithm of the beta function."""
    return math.lgamma(a) + math.lgamma(b) - math.lgamma(a + b)


def _crossing(outside: Callable[[float], bool], far: float, inside: float) -> float:
    for _ in range(60):
        middle = (far + inside) / 2
        far, inside = (middle, inside) if outside(middle) else (far, middle)
    return far
