"""Rows of features most of which are 0, and the two products that fitting a linear model needs."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import accumulate
from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray


@dataclass(frozen=True, eq=False)
class Rows:
    """Row k has `values[starts[k]:starts[k + 1]]` in the columns of the same places; a column may come twice."""

    starts: NDArray[np.int64]
    columns: NDArray[np.int64]
    values: NDArray[np.float64]
    width: int

    @classmethod
    def dense(cls, matrix: NDArray[np.float64]) -> Rows:
        """A matrix (n, width), every number of it."""
        n, width = matrix.shape
        return cls(np.arange(n + 1) * width, np.tile(np.arange(width), n), matrix.reshape(-1), width)

    @property
    def n(self) -> int:
        """How many rows there are."""
        return len(self.starts) - 1

    @cached_property
    def row_of(self) -> NDArray[np.int64]:
        """The row of each value."""
        return np.repeat(np.arange(self.n), np.diff(self.starts))

    def times(self, weights: NDArray[np.float64]) -> NDArray[np.float64]:
        """The weighted sum of each row."""
        return np.bincount(self.row_of, self.values * weights[self.columns], self.n).astype(np.float64, copy=False)

    def summed(self, shares: NDArray[np.float64]) -> NDArray[np.float64]:
        """The sum of the rows, each times its share: the transposed product."""
        return np.bincount(self.columns, self.values * shares[self.row_of], self.width).astype(np.float64, copy=False)

    def take(self, rows: NDArray[np.int64]) -> Rows:
        """Some of the rows, in the order given."""
        counts = np.diff(self.starts)[rows]
        ends = np.cumsum(counts)
        places = np.arange(ends[-1] if len(ends) else 0) + np.repeat(self.starts[rows] - (ends - counts), counts)
        return Rows(np.append(0, ends), self.columns[places], self.values[places], self.width)


def beside(parts: Sequence[Rows]) -> Rows:
    """The same rows of several parts as one: the columns of the first part come first."""
    if len(parts) == 1:
        return parts[0]
    offsets = [0, *accumulate(part.width for part in parts)]
    row = np.concatenate([part.row_of for part in parts])
    order = np.argsort(row, kind="stable")
    columns = np.concatenate([part.columns + offset for part, offset in zip(parts, offsets[:-1], strict=True)])
    values = np.concatenate([part.values for part in parts])
    starts = np.append(0, np.cumsum(np.bincount(row, minlength=parts[0].n)))
    return Rows(starts, columns[order], values[order], offsets[-1])
