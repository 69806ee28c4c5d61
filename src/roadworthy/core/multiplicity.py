"""P-values of many tests, made to count all of them, so that chance alone seldom finds something among them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

Correction = Literal["holm", "benjamini-hochberg"]


def corrected(p_values: Sequence[float], correction: Correction) -> list[float]:
    """The p-values, in the order given, after one of the two corrections."""
    return holm(p_values) if correction == "holm" else benjamini_hochberg(p_values)


def holm(p_values: Sequence[float]) -> list[float]:
    """Holm 1979: where all that is at most alpha counts, one false find is there with probability at most alpha.

    >>> holm([0.01, 0.2, 0.03])
    [0.03, 0.2, 0.06]
    """
    adjusted, most = [1.0] * len(p_values), 0.0
    for rank, k in enumerate(_rising(p_values)):
        most = max(most, min(1.0, p_values[k] * (len(p_values) - rank)))
        adjusted[k] = most
    return adjusted


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Benjamini & Hochberg 1995: of all that is at most alpha, a share of at most alpha is false on average.

    >>> benjamini_hochberg([0.01, 0.5, 0.04])
    [0.03, 0.5, 0.06]
    """
    adjusted, least, rising = [1.0] * len(p_values), 1.0, _rising(p_values)
    for rank in range(len(rising), 0, -1):
        k = rising[rank - 1]
        least = min(least, p_values[k] * len(rising) / rank)
        adjusted[k] = least
    return adjusted


def _rising(p_values: Sequence[float]) -> list[int]:
    return sorted(range(len(p_values)), key=lambda k: p_values[k])
