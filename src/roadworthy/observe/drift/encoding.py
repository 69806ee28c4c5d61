"""Turns columns into numbers that a linear score can add up: outliers tamed, categories and nulls kept."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from heapq import nsmallest
from typing import TYPE_CHECKING, Any

import numpy as np

from roadworthy.core.window import Window

if TYPE_CHECKING:
    from numpy.typing import NDArray

Columns = Mapping[str, "NDArray[Any]"]

KNOTS = 32
CATEGORIES = 12
FARTHEST = 1e300
# A rarer value says more about a row than about a sample; its indicator is not blown up to unit spread.
LEAST_SPREAD = 0.1


@dataclass(frozen=True)
class Number:
    """A number as its place among the quantiles of the rows it was learnt from, -1 to 1, and two curves of it.

    The curves show a spread that grows and a gap in the middle. The fourth feature says that it is null.
    """

    knots: NDArray[np.float64]
    places: NDArray[np.float64]
    # Products of curves say little that products of places and nulls do not.
    simple = (True, False, False, True)

    @classmethod
    def of(cls, values: NDArray[Any]) -> Number:
        known = values[~np.isnan(values)]
        if not len(known):
            return cls(np.zeros(1), np.zeros(1))
        quantiles = np.quantile(_near(known), np.linspace(0, 1, KNOTS + 1), method="higher")
        knots, which = np.unique(quantiles, return_inverse=True)
        return cls(knots, np.bincount(which, np.linspace(-1, 1, KNOTS + 1)) / np.bincount(which))

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float64]:
        null = np.isnan(values)
        place = np.where(null, 0.0, np.interp(_near(np.where(null, 0.0, values)), self.knots, self.places))
        curves = np.where(null, 0.0, 1.5 * place**2 - 0.5), 2.5 * place**3 - 1.5 * place
        return np.stack([place, *curves, null.astype(np.float64)], axis=1)


@dataclass(frozen=True)
class Category:
    """A category as indicators of the commonest values, of any other one, and of null."""

    numbers: Mapping[Any, int]

    @classmethod
    def of(cls, values: NDArray[Any]) -> Category:
        counts = Counter(value for value in values.tolist() if not is_null(value))
        common = nsmallest(CATEGORIES, counts.items(), key=lambda item: (-item[1], str(item[0])))
        return cls({value: k + 2 for k, (value, _) in enumerate(common)})

    @property
    def simple(self) -> tuple[bool, ...]:
        return (True,) * (len(self.numbers) + 2)

    def __call__(self, values: NDArray[Any]) -> NDArray[np.float64]:
        found = np.array([0 if is_null(v) else self.numbers.get(v, 1) for v in values.tolist()], np.int64)
        return np.asarray(found[:, None] == np.arange(len(self.numbers) + 2), np.float64)


@dataclass(frozen=True)
class Encoding:
    """How columns were read. `owners` (F,) says which column each feature is of, `simple` (F,) which to multiply."""

    codes: Mapping[str, Number | Category]
    owners: NDArray[np.int64]
    simple: NDArray[np.bool_]
    means: NDArray[np.float64]
    spreads: NDArray[np.float64]

    @classmethod
    def of(cls, columns: Columns) -> Encoding:
        """Read from all of these rows, of which there is one at least."""
        codes = {name: Category.of(v) if v.dtype == object else Number.of(v) for name, v in columns.items()}
        raw = _raw(codes, columns)
        simple = [code.simple for code in codes.values()]
        owners = np.repeat(np.arange(len(codes)), [len(part) for part in simple])
        spreads = np.maximum(raw.std(axis=0), LEAST_SPREAD)
        return cls(codes, owners, np.array(sum(simple, ())), raw.mean(axis=0), spreads)

    def __call__(self, columns: Columns) -> NDArray[np.float64]:
        """The features (n, F) of rows of the same columns, centred and scaled as the first ones were."""
        return (_raw(self.codes, columns) - self.means) / self.spreads


def aligned(reference: Window, current: Window, names: tuple[str, ...]) -> tuple[Columns, Columns]:
    """Both windows' inputs or outputs of these names, each column of one kind in both; vectors are left out.

    The reference says how to read both, unless it is all null. What it cannot read is null, and so is a column that
    the current window lacks.
    """
    known, new = {**reference.outputs, **reference.inputs}, {**current.outputs, **current.inputs}
    pairs = {name: _alike(known[name], new.get(name), current.n) for name in names if known[name].ndim == 1}
    return {name: pair[0] for name, pair in pairs.items()}, {name: pair[1] for name, pair in pairs.items()}


def rows_of(columns: Columns, rows: NDArray[Any]) -> Columns:
    """The same columns with the given rows only."""
    return {name: values[rows] for name, values in columns.items()}


def nulls_in(values: NDArray[Any]) -> NDArray[np.bool_]:
    """Which values are null (n,)."""
    if values.dtype == object:
        return np.array([is_null(value) for value in values.tolist()], np.bool_)
    return np.asarray(np.isnan(values))


def is_null(value: Any) -> bool:
    """Is it None or not a number?"""
    return value is None or value != value


def _alike(old: NDArray[Any], new: NDArray[Any] | None, n: int) -> tuple[NDArray[Any], NDArray[Any]]:
    if new is None or new.ndim > 1:
        return old, np.full(n, None if old.dtype == object else np.nan, old.dtype)
    if old.dtype == new.dtype == object or (old.dtype != object and new.dtype != object):
        return old, new
    if old.dtype == object or bool(np.isnan(old).all()):
        return old.astype(object), new.astype(object)
    return old, np.array([v if isinstance(v, int | float) else np.nan for v in new.tolist()], np.float64)


def _near(values: NDArray[Any]) -> NDArray[np.float64]:
    return np.clip(values.astype(np.float64, copy=False), -FARTHEST, FARTHEST)


def _raw(codes: Mapping[str, Number | Category], columns: Columns) -> NDArray[np.float64]:
    return np.concatenate([code(columns[name]) for name, code in codes.items()], axis=1)
