"""A part reads one column of a request as features, and can tell how strange a value of it is.

Parts are fitted, frozen and written to JSON; `scorer` makes a part and its weights into the quick function that the
request path calls.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

import numpy as np
from msgspec import Struct

from roadworthy.core.errors import BadData
from roadworthy.route.routers.packed import Packed
from roadworthy.route.routers.sparse import Rows

if TYPE_CHECKING:
    from numpy.typing import NDArray

# One value a row: a list, or an array whose first axis is the rows.
Column: TypeAlias = "Sequence[Any] | NDArray[Any]"
# What a value says: the sums for the strong and for the weak model, and how strange it is.
Said = tuple[float, float, float]
# Standard scores are cut here: one wild number must not decide alone.
FURTHEST = 3.0
# Plain numbers weigh so much beside a text's words, whose features have length 1 together.
NUMBER_SCALE = 0.2
CATEGORY_SCALE = 0.5


class Part(Protocol):
    """What a column is read by. `rows` and `scorer` must say the same of the same value."""

    @property
    def column(self) -> str: ...
    @property
    def width(self) -> int: ...
    def rows(self, values: Column) -> Rows: ...
    def strangeness(self, values: Column, known: bool = False) -> NDArray[np.float64]: ...
    def scorer(self, weights: NDArray[np.float64]) -> Callable[[Any], Said]: ...


class Scale(Struct, frozen=True):
    """Where numbers usually lie: the middle and the spread of each."""

    middle: tuple[float, ...]
    spread: tuple[float, ...]

    @classmethod
    def of(cls, matrix: NDArray[np.float64]) -> Scale:
        """The means and standard deviations of the columns, NaNs left out; 1 where a column does not vary."""
        known = np.isfinite(matrix)
        counts = np.maximum(known.sum(axis=0), 1)
        filled = np.where(known, matrix, 0.0)
        middle = filled.sum(axis=0) / counts
        spread = np.sqrt((np.where(known, matrix - middle, 0.0) ** 2).sum(axis=0) / counts)
        spread = np.where(spread > 1e-9 * (1 + np.abs(middle)), spread, 1.0)
        return cls(tuple(middle.tolist()), tuple(spread.tolist()))

    def scores(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        """Standard scores, cut at +-3; what is not known is 0, the middle."""
        found = (matrix - np.array(self.middle)) / np.array(self.spread)
        return np.clip(np.where(np.isfinite(found), found, 0.0), -FURTHEST, FURTHEST)


class Vector(Struct, frozen=True, tag="vector"):
    """An embedding, or any other column of vectors of one width."""

    column: str
    middle: Packed
    spread: Packed

    @classmethod
    def fit(cls, column: str, values: Column) -> Vector:
        """The part for these vectors (n, width). Raises BadData where one holds what is no finite number."""
        matrix = _matrix(column, values)
        scale = Scale.of(matrix)
        return cls(column, Packed.of(scale.middle), Packed.of(scale.spread))

    @property
    def width(self) -> int:
        """How many numbers a vector has."""
        return self.middle.shape[0]

    def rows(self, values: Column) -> Rows:
        """The standard scores, scaled so that a vector has about length 1."""
        return Rows.dense(self._scores(_matrix(self.column, values)) / np.sqrt(self.width))

    def strangeness(self, values: Column, known: bool = False) -> NDArray[np.float64]:
        """The mean squared standard score."""
        return np.asarray((self._scores(_matrix(self.column, values)) ** 2).mean(axis=1))

    def scorer(self, weights: NDArray[np.float64]) -> Callable[[Any], Said]:
        """One product with the vector of a request."""
        middle, spread, root = self.middle.array(), self.spread.array(), np.sqrt(self.width)

        def score(value: Any) -> Said:
            scores = np.clip((np.asarray(value, np.float64).reshape(-1) - middle) / spread, -FURTHEST, FURTHEST)
            strong, weak = (scores @ weights / root).tolist()
            return strong, weak, float(scores @ scores) / len(scores)

        return score

    def _scores(self, matrix: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.clip((matrix - self.middle.array()) / self.spread.array(), -FURTHEST, FURTHEST)


class Number(Struct, frozen=True, tag="number"):
    """A number of a table, in a straight line and bent at its quartiles; unknown is a feature of its own."""

    column: str
    scale: Scale
    knots: tuple[float, ...]

    @classmethod
    def fit(cls, column: str, values: Column) -> Number:
        """The part for these numbers. None and NaN are unknown."""
        numbers = _numbers(values)
        scale = Scale.of(numbers[:, None])
        known = scale.scores(numbers[np.isfinite(numbers)][:, None])[:, 0]
        knots = np.unique(np.quantile(known, (0.25, 0.5, 0.75))) if len(known) else np.empty(0)
        return cls(column, scale, tuple(knots.tolist()))

    @property
    def width(self) -> int:
        """The line, the bends, and whether it is known."""
        return 2 + len(self.knots)

    def rows(self, values: Column) -> Rows:
        """The features of each number."""
        return Rows.dense(np.array([self._features(v) for v in _numbers(values).tolist()]).reshape(-1, self.width))

    def strangeness(self, values: Column, known: bool = False) -> NDArray[np.float64]:
        """The squared standard score; an unknown one is as strange as a value at the edge."""
        return np.array([self._strange(value) for value in _numbers(values).tolist()])

    def scorer(self, weights: NDArray[np.float64]) -> Callable[[Any], Said]:
        """A handful of products."""
        pairs = weights.tolist()

        def score(value: Any) -> Said:
            number = float("nan") if value is None else float(value)
            strong = weak = 0.0
            for feature, (for_strong, for_weak) in zip(self._features(number), pairs, strict=True):
                strong += feature * for_strong
                weak += feature * for_weak
            return strong, weak, self._strange(number)

        return score

    def _score(self, value: float) -> float:
        return max(-FURTHEST, min(FURTHEST, (value - self.scale.middle[0]) / self.scale.spread[0]))

    def _features(self, value: float) -> list[float]:
        if value != value:
            return [0.0] * (self.width - 1) + [NUMBER_SCALE]
        score = self._score(value)
        return [NUMBER_SCALE * score, *(NUMBER_SCALE * max(0.0, score - knot) for knot in self.knots), 0.0]

    def _strange(self, value: float) -> float:
        return FURTHEST**2 if value != value else self._score(value) ** 2


class Category(Struct, frozen=True, tag="category"):
    """A category of a table, by name; a value that was never seen has no feature, and is strange."""

    column: str
    values: tuple[str, ...]
    counts: tuple[int, ...]

    @classmethod
    def fit(cls, column: str, values: Column, most: int = 1000) -> Category:
        """The part for these values, of which the `most` commonest are told apart."""
        found, counts = np.unique([_name(value) for value in values], return_counts=True)
        order = np.argsort(-counts, kind="stable")[:most]
        return cls(column, tuple(found[order].tolist()), tuple(counts[order].tolist()))

    @property
    def width(self) -> int:
        """One feature a value."""
        return len(self.values)

    def rows(self, values: Column) -> Rows:
        """At most one feature a row."""
        place = {value: k for k, value in enumerate(self.values)}
        found = np.array([place.get(_name(value), -1) for value in values])
        seen = found >= 0
        starts = np.append(0, np.cumsum(seen))
        return Rows(starts, found[seen], np.full(int(seen.sum()), CATEGORY_SCALE), self.width)

    def strangeness(self, values: Column, known: bool = False) -> NDArray[np.float64]:
        """The surprise of each value (nats); `known` rows are those that the counts were made of."""
        counts, n = dict(zip(self.values, self.counts, strict=True)), sum(self.counts)
        seen = np.array([counts.get(_name(value), 0) for value in values], np.float64)
        return np.asarray(np.log((1 + n) / (1 + np.maximum(seen - known, 0))))

    def scorer(self, weights: NDArray[np.float64]) -> Callable[[Any], Said]:
        """One look-up."""
        strange = self.strangeness(self.values).tolist()
        sums = (CATEGORY_SCALE * weights).tolist()
        told = {value: (*pair, odd) for value, pair, odd in zip(self.values, sums, strange, strict=True)}
        never = (0.0, 0.0, float(self.strangeness([""])[0]) if "" not in told else float(np.log1p(sum(self.counts))))
        return lambda value: told.get(_name(value), never)


def _name(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace")
    return "" if value is None else str(value)


def _numbers(values: Column) -> NDArray[np.float64]:
    return np.array([np.nan if value is None else value for value in values], np.float64)


def _matrix(column: str, values: Column) -> NDArray[np.float64]:
    matrix = np.asarray(values, np.float64)
    if matrix.ndim != 2 or not np.isfinite(matrix).all():
        raise BadData(
            f"column {column!r} must hold vectors of one width and of finite numbers, got an array of shape "
            f"{matrix.shape} with {int((~np.isfinite(matrix)).sum())} that are not finite"
        )
    return matrix
