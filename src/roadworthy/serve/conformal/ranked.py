"""Adaptive prediction sets: a class is as strange as the probability of all classes that are likelier than it."""

from __future__ import annotations

import math
import zlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from roadworthy.serve.columns import SETS
from roadworthy.serve.conformal.base import Threshold
from roadworthy.serve.conformal.classes import as_column, class_probabilities, named, with_sets
from roadworthy.serve.fold import Arrays

# Knuth's multiplier: it spreads what a checksum leaves close together over all 32 bits.
_SPREAD, _RANGE = 2654435761, 2**32
# Up to so many classes, Python sorts sooner than numpy begins.
_FEW = 16


class Ranking(NamedTuple):
    """How classes are scored in the order of their probability.

    Romano, Sesia & Candes 2020: the sum up to the class, of which the class itself counts in full, or, where
    `randomised`, by a share drawn uniformly for the row. Angelopoulos et al. 2021 add `penalty` for each rank beyond
    `free`. The draw follows from the row's probabilities (and `seed`) alone: a row gets the same set each time, in any
    batch. Scores are still exchangeable, as each is one fixed function of its row, so the guarantee stands.
    """

    randomised: bool = True
    seed: int = 0
    penalty: float = 0.0
    free: int = 0

    def scores(self, p: NDArray[np.float64]) -> NDArray[np.float64]:
        """The score of each class of each row, (n, k)."""
        order = np.argsort(-p, axis=1, kind="stable")
        rows = np.arange(len(p))[:, None]
        ranked = p[rows, order]
        before = np.zeros_like(ranked)
        np.cumsum(ranked[:, :-1], axis=1, out=before[:, 1:])
        if self.randomised:
            ranked = ranked * np.array([draw(row, self.seed) for row in p])[:, None]
        found = np.empty_like(before)
        found[rows, order] = before + ranked + self._penalties(p.shape[1])
        return found

    def held(self, row: NDArray[np.float64], threshold: float) -> list[int]:
        """The classes of one row that are not stranger than the threshold, in their own order: as `scores` has it.

        Scores rise along the order, so the first that is too strange ends the set.
        """
        p: list[float] = row.tolist()
        if math.isnan(sum(p)):
            return np.flatnonzero(~(self.scores(row[None])[0] > threshold)).tolist()
        share = draw(row, self.seed) if self.randomised else 1.0
        order = _falling(row, p)
        before, held = 0.0, []
        for rank, k in enumerate(order):
            if before + p[k] * share + self.penalty * max(0, rank + 1 - self.free) > threshold:
                break
            held.append(k)
            before += p[k]
        held.sort()
        return held

    def _penalties(self, k: int) -> NDArray[np.float64]:
        return self.penalty * np.maximum(0, np.arange(1, k + 1) - self.free)


def _falling(row: NDArray[np.float64], p: list[float]) -> list[int]:
    """The classes from the likeliest down, equal ones in their own order."""
    if len(p) > _FEW:
        found: list[int] = (-row).argsort(kind="stable").tolist()
        return found
    return sorted(range(len(p)), key=p.__getitem__, reverse=True)


def draw(row: NDArray[np.float64], seed: int) -> float:
    """A number in [0, 1) that follows from the row, as if drawn."""
    return (zlib.crc32(row.tobytes(), seed) * _SPREAD % _RANGE) / _RANGE


def hold_ranked(outputs: Arrays, output: str, threshold: Threshold, classes: Sequence[str], ranking: Ranking) -> Arrays:
    """The outputs with the sets of a threshold; a row alone, which most requests are, is cut short."""
    p = class_probabilities(outputs, output)
    if len(p) != 1 or isinstance(threshold, np.ndarray):
        return with_sets(outputs, ranking.scores(p), threshold, classes)
    names = named(classes, p.shape[1])
    return {**outputs, SETS: as_column([tuple([names[k] for k in ranking.held(p[0], threshold)])])}
