"""The rules that decide at each look whether to roll back: ours as it is shipped, and those that people use.

Each takes a Day and says for every run and look whether it would roll back (or had by then).
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
from days import LOOK_ENDS, Day, stages_of
from numpy.typing import NDArray

from roadworthy.rollout.gates.errors import Errors
from roadworthy.rollout.statistics.sequential import block_ends, evidence

Rule = Callable[[Day], NDArray[np.bool_]]
Floats = NDArray[np.float64]
ALPHA = 0.05
# GrowthBook's default for the count of rows at which its interval is narrowest.
TUNED_AT = 5000


def e_process(day: Day) -> NDArray[np.bool_]:
    """Our gate, with its defaults: whether the evidence of the running stage was ever enough."""
    stops = np.zeros((len(day.rows), len(LOOK_ENDS)), np.bool_)
    for start, stop in stages_of(day.course):
        ends = start + block_ends(stop - start)
        parts = day.until(np.concatenate([[start], ends])) if start else day.until(ends)
        x, r, k, n = (np.diff(part, axis=1) if start else np.diff(part, axis=1, prepend=0) for part in parts)
        enough = np.maximum.accumulate(evidence(x, r, k, n), axis=1) >= -math.log(Errors().alpha)
        newest = np.searchsorted(ends, LOOK_ENDS, side="right") - 1
        mine = (newest >= 0) & (start < LOOK_ENDS) & (stop >= LOOK_ENDS)
        stops[:, mine] = enough[:, newest[mine]]
    return stops


def twice_baseline(day: Day) -> NDArray[np.bool_]:
    """The rule in most tools: the candidate's error rate is over twice stable's."""
    x, r, k, n = day.until(LOOK_ENDS)
    return x * (n - k) > 2 * (r - x) * k


def twice_in_a_window(day: Day) -> NDArray[np.bool_]:
    """The same on each window of five minutes by itself."""
    x, r, k, n = (np.diff(part, axis=1, prepend=0) for part in day.until(LOOK_ENDS))
    return x * (n - k) > 2 * (r - x) * k


def twice_and_five(day: Day) -> NDArray[np.bool_]:
    """The first one, once the candidate has five errors."""
    return twice_baseline(day) & (day.until(LOOK_ENDS)[0] >= 5)


def z_test(day: Day) -> NDArray[np.bool_]:
    """A one-sided two-proportion test at 5 % at every look."""
    gap, _, pooled, _ = differences(day)
    return gap > 1.6449 * np.sqrt(pooled)


def msprt(day: Day, either: bool = False) -> NDArray[np.bool_]:
    """Mixture sequential test for a normal mean (Johari et al. 2017), variances not pooled, from 30 errors on.

    The mixture is as wide as stable's error rate: an effect of about twice the errors is expected.
    """
    gap, unpooled, _, errors = differences(day)
    x, r, k, n = day.until(LOOK_ENDS)
    mixed = ((r - x) / np.maximum(n - k, 1)) ** 2
    with np.errstate(over="ignore"):
        log = 0.5 * np.log(unpooled / (unpooled + mixed)) + mixed * gap**2 / (2 * unpooled * (unpooled + mixed))
    return (errors >= 30) & ((gap > 0) | either) & (log > -math.log(ALPHA))


def sequence_unpooled(day: Day, either: bool = False) -> NDArray[np.bool_]:
    """The asymptotic confidence sequence with a variance an arm, from 30 errors on."""
    gap, unpooled, _, errors = differences(day)
    return (errors >= 30) & ((np.abs(gap) if either else gap) > half_width(unpooled, day))


def sequence_pooled(day: Day) -> NDArray[np.bool_]:
    """The same with one error rate for both arms in the variance."""
    gap, _, pooled, errors = differences(day)
    return (errors >= 30) & (gap > half_width(pooled, day))


def growthbook(day: Day, either: bool = False) -> NDArray[np.bool_]:
    """What gbstats 0.8.0 says of the difference: its lower bound is above 0."""
    return _beyond(day, False, either)


def growthbook_relative(day: Day, either: bool = False) -> NDArray[np.bool_]:
    """The same of the relative difference, which is its default."""
    return _beyond(day, True, either)


def _beyond(day: Day, relative: bool, either: bool) -> NDArray[np.bool_]:
    x, r, k, n = day.until(LOOK_ENDS)
    low, high = growthbook_bounds(r - x, n - k, x, k, relative)
    return np.asarray((low > 0) | (either & (high < 0)))


def either_side(rule: Callable[[Day, bool], NDArray[np.bool_]]) -> Rule:
    """The same rule when it acts on a candidate that looks better, too: it calls the arms different."""
    return lambda day: rule(day, True)


RULES: dict[str, Rule] = {
    "e-process (ours)": e_process,
    "over twice baseline": twice_baseline,
    "twice, each window": twice_in_a_window,
    "twice, 5 errors": twice_and_five,
    "z-test at each look": z_test,
    "mSPRT, unpooled": msprt,
    "asymptotic, unpooled": sequence_unpooled,
    "asymptotic, pooled": sequence_pooled,
    "GrowthBook, absolute": growthbook,
    "GrowthBook, relative": growthbook_relative,
}
# What they would do who take any significant difference for a reason to stop: it is mostly a false "better".
RULES |= {
    f"{name}, either way": either_side(rule)
    for name, rule in {
        "mSPRT, unpooled": msprt,
        "asymptotic, unpooled": sequence_unpooled,
        "GrowthBook, absolute": growthbook,
        "GrowthBook, relative": growthbook_relative,
    }.items()
}


def differences(day: Day) -> tuple[Floats, Floats, Floats, NDArray[np.int64]]:
    """The gap of the error rates, its variance unpooled and pooled, and the errors of both arms, at each look."""
    x, r, k, n = day.until(LOOK_ENDS)
    of_candidate, of_stable, of_both = x / np.maximum(k, 1), (r - x) / np.maximum(n - k, 1), r / n
    unpooled = of_candidate * (1 - of_candidate) / np.maximum(k, 1) + of_stable * (1 - of_stable) / np.maximum(n - k, 1)
    pooled = of_both * (1 - of_both) * (1 / np.maximum(k, 1) + 1 / np.maximum(n - k, 1))
    return of_candidate - of_stable, np.maximum(unpooled, 1e-12), np.maximum(pooled, 1e-12), r


def half_width(variance: Floats, day: Day) -> Floats:
    """Of the asymptotic confidence sequence (arXiv 2103.06476v7, equation 9, tuned by equation 161)."""
    return eq_9(variance, day.until(LOOK_ENDS)[3])


def eq_9(variance: Floats, n: NDArray[np.int64]) -> Floats:
    """`variance` is that of the difference, `n` counts the rows of both arms."""
    wished = -2 * math.log(ALPHA)
    tuned = (wished + math.log(wished + 1)) / TUNED_AT
    grown = n * tuned + 1
    return np.asarray(np.sqrt(variance * n) * np.sqrt(2 * grown * np.log(np.sqrt(grown) / ALPHA) / (n * n * tuned)))


def growthbook_bounds(
    errors: NDArray[np.int64],
    rows: NDArray[np.int64],
    candidate_errors: NDArray[np.int64],
    candidate_rows: NDArray[np.int64],
    relative: bool,
) -> tuple[Floats, Floats]:
    """The interval of gbstats 0.8.0 for two proportions, `SequentialTwoSidedTTest`; NaN where it gives none."""
    with np.errstate(divide="ignore", invalid="ignore"):
        a, b = errors / rows, candidate_errors / candidate_rows
        of_a, of_b = a * (1 - a), b * (1 - b)
        if relative:
            gap, variance = (b - a) / a, of_b / (a**2 * candidate_rows) + of_a * b**2 / (a**4 * rows)
        else:
            gap, variance = b - a, of_b / candidate_rows + of_a / rows
        # It gives no interval while an arm has no variance.
        half = np.where((of_a > 0) & (of_b > 0), eq_9(variance, rows + candidate_rows), np.nan)
        return gap - half, gap + half
