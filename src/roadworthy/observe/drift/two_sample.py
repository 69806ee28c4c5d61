"""Are two samples of numbers of one law? Tests whose p-values hold at 20 rows as at 200,000. It knows no windows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

import numpy as np

from roadworthy.core.measure import Measurement, Verdict
from roadworthy.core.multiplicity import holm

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Up to here the exact law costs less than a millisecond or two; beyond, the normal one is as good.
EXACT_ROWS = 50
EXACT_PAIRS = 60_000
SERIES = np.arange(1, 101)


def rank_sum_p(low: NDArray[np.float64], high: NDArray[np.float64], rng: np.random.Generator) -> float:
    """P(values of `high` rank this far above those of `low` by chance), one-sided (Mann and Whitney 1947).

    Exact where the smaller sample has fewer than 50 values, else normal with the continuity correction. Ties are
    broken at random, which keeps the law exact: chance knows nothing of which sample a value is from.
    """
    n, m = len(low), len(high)
    if not n or not m:
        return 1.0
    values = np.concatenate([low, high])
    order = np.lexsort((rng.random(n + m), values))
    above = int((np.flatnonzero(order >= n) - np.arange(m)).sum())
    if min(n, m) < EXACT_ROWS and n * m <= EXACT_PAIRS:
        return float(min(1.0, max(0.0, _rank_sum_law(n, m)[above:].sum())))
    z = (above - n * m / 2 - 0.5) / math.sqrt(n * m * (n + m + 1) / 12)
    return 0.5 * math.erfc(z / math.sqrt(2))


def _rank_sum_law(n: int, m: int) -> NDArray[np.float64]:
    """P(U = 0..n m) for samples of n and m: the Gaussian binomial coefficient, divided by its sum."""
    few, many = sorted((n, m))
    law = np.zeros(n * m + 1)
    law[0] = 1.0
    for k in range(1, few + 1):
        law[many + k :] -= law[: max(0, len(law) - many - k)].copy()
        padded = np.pad(law, (0, -len(law) % k)).reshape(-1, k)
        law = np.cumsum(padded, axis=0).ravel()[: len(law)] * (k / (many + k))
    return law


def ks(reference: NDArray[np.float64], current: NDArray[np.float64]) -> float:
    """The largest distance between two distribution functions (Kolmogorov-Smirnov); `reference` is sorted."""
    ordered = np.sort(current)
    n, m = len(reference), len(ordered)
    places = np.concatenate([reference, ordered])
    gap = np.searchsorted(reference, places, "right") / n - np.searchsorted(ordered, places, "right") / m
    return float(np.abs(gap).max())


def ks_p(distance: float, n: int, m: int) -> float:
    """P(two samples of one law, of n and m values, lie at least so far apart); at most so for laws with ties.

    The limit law (Smirnov 1939) without a correction for small samples, which errs to the safe side.
    """
    scaled = distance * math.sqrt(n * m / (n + m))
    if scaled < 0.3:
        return 1.0
    terms = np.where(SERIES % 2, 2.0, -2.0) * np.exp(-2.0 * (SERIES * scaled) ** 2)
    return float(min(1.0, max(0.0, terms.sum())))


def compared(name: str, reference: NDArray[np.float64], current: NDArray[np.float64]) -> list[Measurement]:
    """The distance of the numbers of both, and of their shares of nulls where there are any; `p` is a condition.

    The interval is that of Dvoretzky, Kiefer and Wolfowitz (Massart 1990).
    """
    known = [values[~np.isnan(values)] for values in (reference, current)]
    found = []
    if min(len(values) for values in known):
        found.append(_distance(name, np.sort(known[0]), known[1]))
    if min(len(reference), len(current)) and len(known[0]) + len(known[1]) < len(reference) + len(current):
        nulls = [np.isnan(values).astype(np.float64) for values in (reference, current)]
        found.append(_distance(f"nulls of {name}", np.sort(nulls[0]), nulls[1]))
    return found


def beyond_chance(found: Sequence[Measurement], alpha: float, least: float) -> list[Measurement]:
    """Those that moved by `least` or more and whose p-value, counting all of the tests, is at most `alpha`."""
    adjusted = holm([m.conditions["p"] for m in found])
    moved = [m for m, p in zip(found, adjusted, strict=True) if p <= alpha and m.value >= least]
    return sorted(moved, key=lambda m: -m.value)


def judged(found: Sequence[Measurement], alpha: float, least: float, what: str, of: str) -> Verdict:
    """An alarm where one of the tests is beyond chance; `what` moved, says the sentence."""
    n, moved = max(m.n for m in found), beyond_chance(found, alpha, least)
    if not moved:
        top = max(found, key=lambda m: m.value)
        told = f"most is {top.where} {top.value:.3f} (p {top.conditions['p']:.2g})"
        return Verdict(
            "pass", f"none of {len(found)} tests on {n} rows shows that {what} moved; {told}", of, tuple(found)
        )
    told = ", ".join(f"{m.where} by {m.value:.3f}" for m in moved[:5])
    more = f" and {len(moved) - 5} more" if len(moved) > 5 else ""
    rest = [m for m in found if m not in moved]
    return Verdict("fail", f"{what} moved in {n} rows: {told}{more}", of, (*moved, *rest))


def _distance(where: str, reference: NDArray[np.float64], current: NDArray[np.float64]) -> Measurement:
    n, m = len(reference), len(current)
    distance = ks(reference, current)
    half = math.sqrt(math.log(4 / 0.05) / 2) * (1 / math.sqrt(n) + 1 / math.sqrt(m))
    low, high = max(0.0, distance - half), min(1.0, distance + half)
    return Measurement("ks", distance, m, low, high, where=where, conditions={"p": ks_p(distance, n, m)})
