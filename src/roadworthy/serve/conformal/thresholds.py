"""Which of the sorted scores of labelled rows is the threshold that covers as often as promised."""

from __future__ import annotations

import math
from bisect import bisect_left
from collections.abc import Sequence

from roadworthy.core.bounds import incomplete_beta
from roadworthy.core.errors import BadData
from roadworthy.core.measure import Measurement

# What floating point adds to a product such as 20 x 0.9 must not cost a rank.
_ROUNDING = 1e-9


def least_rows(target: float) -> int:
    """The fewest rows that can promise `target`: (1 - alpha) / alpha, rounded up."""
    return math.ceil(target / (1 - target) - _ROUNDING)


def rank_of(n: int, target: float) -> int:
    """Which smallest of n scores is the threshold: ceil((n + 1) * target), which is n + 1 where n are too few.

    Papadopoulos et al. 2002; Vovk, Gammerman & Shafer 2005: the truth of one more exchangeable row scores at most so
    much with a probability of at least `target`.
    """
    return math.ceil((n + 1) * target - _ROUNDING)


def threshold_at(scores: Sequence[float], target: float) -> float:
    """The threshold that sorted scores give a target: infinite beyond the last of them, -infinite from 0 down."""
    rank = rank_of(len(scores), target)
    if rank > len(scores):
        return math.inf
    return -math.inf if rank <= 0 else float(scores[rank - 1])


def share_as_strange(scores: Sequence[float], score: float) -> float:
    """The p-value of a score: the alpha from which on a set of these sorted scores does not hold it."""
    return (len(scores) - bisect_left(scores, score) + 1) / (len(scores) + 1)


def thinned(scores: Sequence[float], most: int) -> tuple[float, ...]:
    """At most `most` of the sorted scores that stand for all, each rounded up to one that there is: never too bold."""
    n = len(scores)
    if n <= most:
        return tuple(scores)
    return tuple(scores[math.ceil(k * (n + 1) / (most + 1)) - 1] for k in range(1, most + 1))


def enough(n: int, target: float, what: str = "") -> None:
    """Raises BadData where n rows cannot promise the target."""
    if not 0 < target < 1:
        raise BadData(f"`target` is the share of truths to be held, between 0 and 1, got {target!r}")
    if n < least_rows(target):
        whose = f" of {what}" if what else ""
        raise BadData(
            f"{n} labelled rows{whose} cannot promise that {target:g} of the truths are held: at least "
            f"{least_rows(target)} are needed; collect more labels, or ask for a lower target"
        )


def promise(n: int, target: float, where: str = "", confidence: float = 0.95) -> Measurement:
    """The coverage to expect of a threshold fitted on n rows: its mean, and where it lies with `confidence`.

    Which rows they happened to be moves it by Beta(k, n + 1 - k), k being the rank of the threshold (Vovk 2012,
    "Conditional validity of inductive conformal predictors"); ties among scores move it up.
    """
    k, tail = rank_of(n, target), (1 - confidence) / 2
    low, high = (_beta_quantile(share, k, n + 1 - k) for share in (tail, 1 - tail))
    said = {"target": target, "confidence": confidence}
    return Measurement("coverage_promised", k / (n + 1), n, low, high, where=where, conditions=said)


def _beta_quantile(share: float, a: int, b: int) -> float:
    low, high = 0.0, 1.0
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if incomplete_beta(middle, a, b) < share else (low, middle)
    return (low + high) / 2
