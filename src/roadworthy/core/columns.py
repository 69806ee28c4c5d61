"""What a profile keeps of one column: rows a cell of a number, rows a value of a category, both of what texts are like.

Each kind is counted on a frame that the first rows fix (`like`), and counts on one frame can be added up.
"""

from __future__ import annotations

import math
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping
from heapq import nlargest
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from msgspec import Struct
from msgspec.structs import replace

from roadworthy.core.cells import Grid, pack, unpack

if TYPE_CHECKING:
    from numpy.typing import NDArray

# The commonest values of a category are kept by name, as many as fit into so many bytes; where there are more, also the
# rows in each of so many hash buckets.
NAMED_BYTES = 3_000
BUCKETS = 64
_LONGEST = 48
_COUNT_BYTES = 5


class Numbers(Struct, frozen=True, tag="number", omit_defaults=True):
    """A column of numbers: `n` rows, `nulls` of them unknown, and the rows in each cell of the grid (packed).

    `total` and `squares` sum the distances from the grid's centre, in units of its scale.
    """

    grid: Grid
    n: int
    nulls: int
    cells: bytes
    total: float = 0.0
    squares: float = 0.0

    @classmethod
    def of(cls, column: Any, like: Numbers | None = None, bits: int = 5) -> Numbers:
        """Count a column; what cannot be read as a number is null."""
        values = numbers_in(column)
        grid = Grid.of(values, bits) if like is None else like.grid
        tally = grid.count(values)
        return cls(grid, len(values), tally.nulls, pack(tally.cells), tally.total, tally.squares)

    @classmethod
    def none_of(cls, grid: Grid) -> Numbers:
        """A column of no rows."""
        return cls(grid, 0, 0, pack(grid.count(np.empty(0)).cells))

    @property
    def known(self) -> int:
        """Rows that are not null."""
        return self.n - self.nulls

    def counts(self) -> NDArray[np.int64]:
        """Rows in each cell, from left to right."""
        return unpack(self.cells)

    @property
    def mean(self) -> float:
        """The plain mean; NaN of no rows."""
        return self.grid.centre + self.total / self.known / self.grid.scale if self.known else math.nan

    @property
    def sd(self) -> float:
        """The plain standard deviation; NaN of no rows."""
        if not self.known:
            return math.nan
        return math.sqrt(max(0.0, self.squares / self.known - (self.total / self.known) ** 2)) / self.grid.scale

    @property
    def median(self) -> float:
        """What a planted value cannot move, unlike the mean."""
        return self.quantiles(0.5)[0]

    @property
    def robust_sd(self) -> float:
        """The distance between the quartiles, as a standard deviation (of a normal column it is that)."""
        low, high = self.quantiles(0.25, 0.75)
        return (high - low) / 1.349

    def quantiles(self, *shares: float) -> tuple[float, ...]:
        """Quantiles as near as the cells are narrow, about 3 % of the distance from the median; NaN of no rows."""
        counts = self.counts()
        if not self.known:
            return tuple(math.nan for _ in shares)
        upto = np.cumsum(counts)
        edges, middles = self.grid.edges(), self.grid.middles()
        found = []
        for share in shares:
            wanted = share * (self.known - 1) + 0.5
            cell = min(int(np.searchsorted(upto, wanted)), len(counts) - 1)
            if cell in (0, len(counts) - 1, len(counts) // 2):
                found.append(float(middles[cell]))
                continue
            within = (wanted - (upto[cell] - counts[cell])) / counts[cell]
            found.append(float(edges[cell - 1] + min(within, 1.0) * (edges[cell] - edges[cell - 1])))
        return tuple(found)

    def merge(self, other: Numbers) -> Numbers:
        """The column of both tables."""
        if self.grid != other.grid:
            raise ValueError("two columns can be merged on one grid only: make the second profile `like` the first")
        return Numbers(
            self.grid,
            self.n + other.n,
            self.nulls + other.nulls,
            pack(self.counts() + other.counts()),
            self.total + other.total,
            self.squares + other.squares,
        )

    def without(self, n: int) -> Numbers:
        """The same column with `n` more rows that have no value."""
        return replace(self, n=self.n + n, nulls=self.nulls + n)


class Values(Struct, frozen=True, tag="category", omit_defaults=True):
    """A column of categories (or booleans): the commonest values by name, and how many rows each has.

    `rest` rows have a value that is not in `named`; then `buckets` (packed) holds the rows in each hash bucket of all
    values, which unlike the commonest values are the same ones whichever rows were drawn.
    """

    n: int
    nulls: int
    named: Mapping[str, int]
    rest: int = 0
    distinct: int = 0
    buckets: bytes = b""
    kind: Literal["category", "boolean"] = "category"

    @classmethod
    def of(
        cls,
        column: Any,
        like: Values | None = None,
        kind: Literal["category", "boolean"] = "category",
        most_bytes: int = NAMED_BYTES,
    ) -> Values:
        """Count a column of text, numbers or booleans; each distinct one is a category."""
        counted, n = values_in(column)
        return _values(counted, n, like.named if like else {}, like.kind if like else kind, most_bytes)

    def in_buckets(self) -> NDArray[np.int64]:
        """Rows in each hash bucket."""
        return unpack(self.buckets) if self.buckets else _bucketed(self.named)

    def merge(self, other: Values) -> Values:
        """The column of both tables; the counts of rare values are lower bounds where there were too many to name."""
        named = Counter(self.named)
        named.update(other.named)
        merged = _values(named, self.n + other.n, self.named, self.kind)
        rest = merged.rest + self.rest + other.rest
        buckets = pack(self.in_buckets() + other.in_buckets()) if rest else b""
        distinct = max(self.distinct, other.distinct, len(named))
        return replace(merged, nulls=self.nulls + other.nulls, rest=rest, buckets=buckets, distinct=distinct)

    def without(self, n: int) -> Values:
        """The same column with `n` more rows that have no value."""
        return replace(self, n=self.n + n, nulls=self.nulls + n)


class Vectors(Struct, frozen=True, tag="vector", omit_defaults=True):
    """A column of vectors of `width` numbers: their lengths, and their mean (float32)."""

    width: int
    norms: Numbers
    mean: bytes = b""

    @classmethod
    def of(cls, column: NDArray[Any], like: Vectors | None = None) -> Vectors:
        """Count vectors (n, width); one that holds a NaN is null."""
        rows = np.asarray(column, np.float64).reshape(len(column), int(np.prod(column.shape[1:])))
        norms = Numbers.of(np.sqrt(np.einsum("ij,ij->i", rows, rows)), like.norms if like else None)
        known = rows[~np.isnan(rows).any(axis=1)]
        mean = known.mean(axis=0).astype("<f4").tobytes() if len(known) else b""
        return cls(rows.shape[1], norms, mean)

    @property
    def n(self) -> int:
        """How many rows there are."""
        return self.norms.n

    @property
    def nulls(self) -> int:
        """How many of them are unknown."""
        return self.norms.nulls

    def merge(self, other: Vectors) -> Vectors:
        """The column of both tables."""
        if self.width != other.width:
            raise ValueError(f"vectors of {self.width} and of {other.width} numbers cannot be merged")
        known = [(side.norms.known, np.frombuffer(side.mean, "<f4")) for side in (self, other) if side.mean]
        rows = sum(n for n, _ in known)
        mean = sum((n / rows * part.astype(np.float64) for n, part in known), np.zeros(self.width))
        return Vectors(self.width, self.norms.merge(other.norms), mean.astype("<f4").tobytes() if known else b"")

    def without(self, n: int) -> Vectors:
        """The same column with `n` more rows that have no value."""
        return replace(self, norms=self.norms.without(n))


def numbers_in(column: Any) -> NDArray[Any]:
    """A column as numbers, NaN where there is none: a date in seconds, text as null. Takes a polars Series too."""
    values = np.asarray(column if isinstance(column, np.ndarray) else column.to_numpy())
    if values.dtype.kind in "mM":
        unit = np.timedelta64(1, "us")
        since = values - np.datetime64(0, "us") if values.dtype.kind == "M" else values
        return np.asarray(since / unit / 1e6, np.float64)
    if values.dtype.kind in "fiu" and values.dtype.itemsize <= 8:
        return values
    if values.dtype.kind == "O":
        return np.array([float(v) if isinstance(v, int | float) else np.nan for v in values], np.float64)
    return values.astype(np.float64) if values.dtype.kind in "bf" else np.full(len(values), np.nan)


def values_in(column: Any) -> tuple[Counter[str], int]:
    """How often each value of a column occurs, by name, and how many rows there are. Takes a polars Series too."""
    if isinstance(column, np.ndarray):
        if column.dtype.kind in "OUS":
            found: Mapping[Any, int] = Counter(column.tolist())
        else:
            values, counts = np.unique(column, return_counts=True)
            found = dict(zip(values.tolist(), counts.tolist(), strict=True))
    else:
        pairs = column.value_counts()
        found = dict(zip(*(pairs[name].to_list() for name in pairs.columns), strict=True))
    named: Counter[str] = Counter()
    for value, times in found.items():
        if value is not None and value == value:
            named[name_of(value)] += times
    return named, len(column)


def name_of(value: Any) -> str:
    """What a category is called: itself, a number without needless zeros, a long one by its beginning and a digest."""
    if isinstance(value, bool | int | float):
        return f"{float(value):.12g}"
    name = str(value)
    if len(name) <= _LONGEST:
        return name
    return f"{name[: _LONGEST - 9]}~{zlib.crc32(name.encode('utf-8', 'surrogatepass')):08x}"


def bucket_of(name: str) -> int:
    """The hash bucket of a value."""
    return zlib.crc32(name.encode("utf-8", "surrogatepass")) % BUCKETS


def _values(
    counted: Counter[str],
    n: int,
    also: Iterable[str],
    kind: Literal["category", "boolean"],
    most_bytes: int = NAMED_BYTES,
) -> Values:
    """The commonest values by name, and those of `also`, so that the counts of two tables can be compared."""
    named, known = dict(counted), counted.total()
    if _bytes(named) > most_bytes:
        most = most_bytes // (1 + _COUNT_BYTES)
        common = nlargest(most, counted.items(), key=lambda item: (item[1], item[0]))
        room = np.cumsum([len(name.encode("utf-8", "surrogatepass")) + _COUNT_BYTES for name, _ in common])
        named = dict(common[: int(np.searchsorted(room, most_bytes, side="right"))])
        named |= {name: counted[name] for name in also if name in counted}
    rest = known - sum(named.values())
    return Values(n, n - known, named, rest, len(counted), pack(_bucketed(counted)) if rest else b"", kind)


def _bytes(named: Mapping[str, int]) -> int:
    return sum(map(len, named)) + _COUNT_BYTES * len(named)


def _bucketed(counted: Mapping[str, int]) -> NDArray[np.int64]:
    buckets = np.zeros(BUCKETS, np.int64)
    for name, times in counted.items():
        buckets[bucket_of(name)] += times
    return buckets
