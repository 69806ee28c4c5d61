"""What the inputs of a row foretell of its loss, so that the arms are compared on the rest.

Taking away what was to be expected of a row leaves the difference of the arms where it is and narrows its interval
(CUPED: Deng, Xu, Kohavi and Walker 2013), as long as what foretells is the same whichever arm answers. Each stretch of
rows is foretold from the rows before it (the cross-fitting of Waudby-Smith et al., arXiv 2103.06476, section 2), so
that the number of a row is the same at every later look, and no row helps to foretell itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import repeat
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

# The rows that say what a column looks like, and after which a first regression is worth while.
FIRST = 200
# Where the regression is done again. Some dozen weights are known well enough from the last of them.
_FITS = (FIRST, 500, 1_000, 2_000, 4_000, 8_000, 16_000)
_CATEGORIES, _LEAST_OF_A_CATEGORY, _MOST_COLUMNS = 8, 10, 24
# How many rows a weight is held back by: what few rows suggest is mostly noise.
_PENALTY = 20.0


class Coder(Protocol):
    """Makes a column into numbers to regress on, as its first rows suggest."""

    def numbers(self, column: NDArray[Any]) -> Floats:
        """(n, weights)."""
        ...

    def told(self, column: NDArray[Any], weights: Floats) -> Floats:
        """The numbers times the weights, for many rows."""
        ...


@dataclass(frozen=True)
class Design:
    """Input columns as numbers to regress on: what a column looks like is read off its first rows only."""

    columns: tuple[tuple[NDArray[Any], Coder], ...]

    @classmethod
    def of(cls, inputs: Mapping[str, NDArray[Any]], more: Floats | None = None) -> Design:
        """From columns (n,) of one length; vectors are left out. `more` (n,) is a number to be taken as it is."""
        flat = [column for column in inputs.values() if column.ndim == 1][:_MOST_COLUMNS]
        coded = [(column, _coder(column[:FIRST])) for column in flat]
        kept = [(column, coder) for column, coder in coded if coder is not None]
        return cls(tuple(kept) if more is None else (*kept, (more, _Plain())))

    def fit(self, rows: int, value: Floats) -> list[Floats]:
        """The weights of each column, from the first rows."""
        parts = [coder.numbers(column[:rows]) for column, coder in self.columns]
        weights = _ridge(np.hstack([np.ones((rows, 1)), *parts]), value[:rows])
        return np.split(weights, np.cumsum([1, *(part.shape[1] for part in parts)])[:-1])

    def told(self, begin: int, end: int, weights: list[Floats]) -> Floats:
        """What the weights say to some rows."""
        total = weights[0][0]
        for (column, coder), part in zip(self.columns, weights[1:], strict=True):
            total = total + coder.told(column[begin:end], part)
        return np.asarray(total)


def foretold(design: Design, value: Floats) -> Floats:
    """What the rows before suggest for each value (n,) or (n, k), in the order given; 0 for the first rows."""
    told = np.zeros_like(value)
    n = len(value)
    for rows, until in zip(_FITS, (*_FITS[1:], n), strict=True):
        if rows >= n or not design.columns:
            break
        end = min(until, n)
        told[rows:end] = design.told(rows, end, design.fit(rows, value))
    return told


def _ridge(numbers: Floats, value: Floats) -> Floats:
    """Least squares with small weights (Hoerl and Kennard 1970); the constant is free."""
    held = np.full(numbers.shape[1], _PENALTY)
    held[0] = 1e-9
    spread = np.sqrt((numbers * numbers).mean(axis=0)) + 1e-9
    scaled = numbers / spread
    solved = np.linalg.solve(scaled.T @ scaled + np.diag(held), scaled.T @ value)
    return np.asarray((solved.T / spread).T)


def _coder(first: NDArray[Any]) -> Coder | None:
    """How to make a column into numbers; None where its first rows are all the same, or nearly all different."""
    if first.dtype == object:
        names, counts = np.unique([str(value) for value in first], return_counts=True)
        common = names[np.argsort(-counts, kind="stable")][: int((counts >= _LEAST_OF_A_CATEGORY).sum())]
        return _Categories(tuple(common[:_CATEGORIES].tolist())) if len(common) and len(names) > 1 else None
    known = np.asarray(first[np.isfinite(first)], np.float64)
    if len(known) < _LEAST_OF_A_CATEGORY:
        return None
    low, middle, high = (float(q) for q in np.quantile(known, [0.05, 0.5, 0.95]))
    return _Bent(low, middle, high) if high > low else None


@dataclass(frozen=True)
class _Plain:
    """A number as it is."""

    def numbers(self, column: NDArray[Any]) -> Floats:
        return np.asarray(column[:, None], np.float64)

    def told(self, column: NDArray[Any], weights: Floats) -> Floats:
        return self.numbers(column) @ weights


@dataclass(frozen=True)
class _Bent:
    """A number as a line that may bend in the middle and goes no further than the first rows did, and whether known."""

    low: float
    middle: float
    high: float

    def numbers(self, column: NDArray[Any]) -> Floats:
        found = np.empty((len(column), 3))
        known = np.isfinite(column)
        x = (np.clip(np.where(known, column, self.middle), self.low, self.high) - self.middle) / (self.high - self.low)
        found[:, 0], found[:, 1], found[:, 2] = x, np.maximum(x, 0.0), ~known
        return found

    def told(self, column: NDArray[Any], weights: Floats) -> Floats:
        return self.numbers(column) @ weights


@dataclass(frozen=True)
class _Categories:
    """Text as one number for each common value."""

    names: tuple[str, ...]

    def numbers(self, column: NDArray[Any]) -> Floats:
        return np.asarray(self._places(column)[:, None] == np.arange(len(self.names)), np.float64)

    def told(self, column: NDArray[Any], weights: Floats) -> Floats:
        return np.concatenate([weights, np.zeros_like(weights[:1])])[self._places(column)]

    def _places(self, column: NDArray[Any]) -> NDArray[np.int64]:
        """Which of the names each value is; -1, the last, for all others."""
        places: dict[str | None, int] = {None if name == "None" else name: k for k, name in enumerate(self.names)}
        return np.fromiter(map(places.get, column.tolist(), repeat(-1)), np.int64, len(column))
