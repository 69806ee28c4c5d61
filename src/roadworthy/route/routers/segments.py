"""What the dear model gains in each segment, shrunk to the mean of all where a segment has few labels."""

from __future__ import annotations

from collections.abc import Sequence
from math import lgamma
from typing import TYPE_CHECKING

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

# How many rows the prior may count for.
_STRENGTHS = (2.0, 3.0, 5.0, 8.0, 12.0, 18.0, 27.0, 40.0, 60.0, 100.0, 200.0)


class Segments(Struct, frozen=True):
    """Per segment, by name: the labelled rows, the mean gain and its standard deviation.

    `noises` are the standard deviations of a single row's gain, and `strength` is how many rows what all segments share
    counts for.
    """

    names: tuple[str, ...] = ()
    rows: tuple[float, ...] = ()
    gains: tuple[float, ...] = ()
    spreads: tuple[float, ...] = ()
    noises: tuple[float, ...] = ()
    strength: float = 0.0

    @classmethod
    def fit(
        cls,
        segments: Sequence[str],
        strong: NDArray[np.float64],
        weak: NDArray[np.float64],
        weights: NDArray[np.float64],
    ) -> Segments:
        """Each segment counts rows that only the strong model, only the weak one, or both or neither got right.

        The counts have a Dirichlet prior at the shares of all rows. Its strength is not known: each of a grid is
        weighed by how likely it makes all segments together (empirical Bayes; Minka 2000), and what they say averaged.
        Weighted rows count as many as they are worth (Kish 1965).
        """
        names, codes = np.unique(np.asarray(segments, dtype=str), return_inverse=True)
        kinds = np.where(strong > weak, 0, np.where(weak > strong, 1, 2))
        counts = np.zeros((len(names), 3))
        np.add.at(counts, (codes, kinds), weights)
        sums = counts.sum(axis=1, keepdims=True)
        worth = sums[:, 0] ** 2 / np.bincount(codes, weights**2)
        counts *= worth[:, None] / sums
        mean = (counts.sum(axis=0) + 0.5) / (counts.sum() + 1.5)
        likely = np.array([_likelihood(counts, strength * mean) for strength in _STRENGTHS])
        shares = np.exp(likely - likely.max())
        shares /= shares.sum()
        told = np.array([_posterior(counts, strength * mean) for strength in _STRENGTHS])
        gains = shares @ told[:, 0]
        spreads = np.sqrt(shares @ (told[:, 1] + (told[:, 0] - gains) ** 2))
        noises = np.sqrt(shares @ told[:, 2])
        strength = float(np.exp(shares @ np.log(_STRENGTHS)))
        known, each, means, sds, rough = (tuple(c.tolist()) for c in (names, worth, gains, spreads, noises))
        return cls(known, each, means, sds, rough, strength)


def _posterior(
    counts: NDArray[np.float64], prior: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Of each segment, given the prior: the mean gain, the variance of that, and the variance of one row's gain."""
    size = counts.sum(axis=1) + prior.sum()
    only_strong, only_weak = ((counts + prior)[:, :2] / size[:, None]).T
    gains = only_strong - only_weak
    noise = only_strong + only_weak - gains**2
    return gains, noise / (size + 1), noise


def _likelihood(counts: NDArray[np.float64], prior: NDArray[np.float64]) -> float:
    """The log likelihood of the counts of every segment, shares integrated out (Dirichlet-multinomial)."""
    size, start = float(prior.sum()), [lgamma(p) for p in prior]
    total = 0.0
    for row in counts:
        total += lgamma(size) - lgamma(size + float(row.sum()))
        total += sum(lgamma(p + float(count)) - first for p, count, first in zip(prior, row, start, strict=True))
    return total
