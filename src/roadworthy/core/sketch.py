"""A Sketch counts values in log-spaced cells: percentiles to 1 %, merged exactly, in a few hundred bytes.

The cells are those of DDSketch (Masson, Rim & Lee 2019). They are numbered in the order of their values, negative ones
and zero included, and hold whole counts, so that merging in any order gives the same sketch to the last bit.
numpy is imported inside: `import roadworthy` must not load it.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from msgspec import Struct

from roadworthy.core.measure import Measurement
from roadworthy.core.stats import nothing

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import ArrayLike, NDArray

RELATIVE_ERROR = 0.01
GROWTH = (1 + RELATIVE_ERROR) / (1 - RELATIVE_ERROR)
_LOG_GROWTH = math.log(GROWTH)
# What is nearer to zero than this is zero; cell 1 begins here.
SMALLEST = 1e-12
_FIRST = math.floor(math.log(SMALLEST) / _LOG_GROWTH)
_LARGEST = sys.float_info.max


class Sketch(Struct, frozen=True):
    """How many values fell into each cell, in the order of the cells; only cells that have some are there."""

    cells: tuple[int, ...] = ()
    counts: tuple[int, ...] = ()

    @classmethod
    def zero(cls) -> Sketch:
        """The sketch of no values."""
        return cls()

    @classmethod
    def of(cls, values: ArrayLike) -> Sketch:
        """The sketch of an array; NaN is left out, an infinity counts as the largest number."""
        import numpy as np

        found, counts = np.unique(cells_of(values), return_counts=True)
        return cls(tuple(found.tolist()), tuple(counts.tolist()))

    @property
    def n(self) -> int:
        """How many values were counted."""
        return sum(self.counts)

    def add(self, value: float) -> Sketch:
        """The sketch with one more value."""
        return self.add_many((value,))

    def add_many(self, values: ArrayLike) -> Sketch:
        """The sketch with all values of an array."""
        return self.merge(Sketch.of(values))

    def merge(self, other: Sketch) -> Sketch:
        """The sketch of both."""
        total = dict(zip(self.cells, self.counts, strict=True))
        for cell, count in zip(other.cells, other.counts, strict=True):
            total[cell] = total.get(cell, 0) + count
        return Sketch(tuple(sorted(total)), tuple(total[cell] for cell in sorted(total)))

    def to_bytes(self) -> bytes:
        """A byte or two for each cell: what `from_bytes` reads, on any machine."""
        import numpy as np

        cells, counts = np.array(self.cells, np.int64), np.array(self.counts, np.int64)
        return write_many(np.zeros(len(cells), np.int64), cells, counts, 1)[0]

    @classmethod
    def from_bytes(cls, body: bytes) -> Sketch:
        """The sketch that was written. Raises ValueError where the bytes are not one."""
        _, cells, counts = read_many([body])
        return cls(tuple(cells.tolist()), tuple(counts.tolist()))

    def quantile(
        self, share: float, name: str = "quantile", unit: str = "1", where: str = "", confidence: float = 0.95
    ) -> Measurement:
        """The value below which `share` of the law lies, with an interval that holds for any law.

        The bounds are the order statistics between which a quantile of the law lies with this confidence (David &
        Nagaraja 2003, 7.1: a binomial of n and `share` counts the values below it), taken to the edges of their cells.
        Where n is too small for one, it stays open: 100 values bound no p99.9 from above. Values that hang together,
        as those of neighbouring requests do, make it too narrow.
        """
        if not 0 < share < 1:
            raise ValueError(f"`share` of a quantile must be between 0 and 1, got {share!r}")
        n = self.n
        if not n:
            return nothing(name, unit, where)
        lower, upper = ranks(n, share, confidence)
        ends = [edges(self._at(rank)) for rank in (lower, upper) if 1 <= rank <= n]
        low = ends[0][0] if lower >= 1 else -math.inf
        high = ends[-1][1] if upper <= n else math.inf
        conditions = {} if confidence == 0.95 else {"confidence": confidence}
        return Measurement(name, middle(self._at(max(1, math.ceil(share * n)))), n, low, high, unit, where, conditions)

    def percentiles(
        self, shares: Mapping[str, float] | None = None, unit: str = "s", where: str = ""
    ) -> list[Measurement]:
        """Several quantiles by name; p50, p95, p99 and p99.9 where not said."""
        wanted = PERCENTILES if shares is None else shares
        return [self.quantile(share, name, unit, where) for name, share in wanted.items()]

    def above(self, bound: float) -> int:
        """How many values lie in cells above the one of `bound`: those over it, but for 1 %."""
        limit = int(cells_of([bound])[0])
        return sum(count for cell, count in zip(self.cells, self.counts, strict=True) if cell > limit)

    def _at(self, rank: int) -> int:
        """The cell of the value with this rank, from 1."""
        seen = 0
        for cell, count in zip(self.cells, self.counts, strict=True):
            seen += count
            if seen >= rank:
                return cell
        raise ValueError(f"no rank {rank} among {seen} values")


PERCENTILES: Mapping[str, float] = {"p50": 0.5, "p95": 0.95, "p99": 0.99, "p99.9": 0.999}


def cells_of(values: ArrayLike) -> NDArray[np.int64]:
    """The cell of each value that is not NaN: 0 for zero, above 0 for positive and below for negative values."""
    import numpy as np

    found = np.asarray(values, np.float64).ravel()
    found = found[~np.isnan(found)]
    size = np.clip(np.abs(found), SMALLEST / 2, _LARGEST)
    index = np.ceil(np.log(size) / _LOG_GROWTH).astype(np.int64) - _FIRST
    return np.where(size < SMALLEST, 0, index * np.sign(found).astype(np.int64))


def middle(cell: int) -> float:
    """The value of a cell that is within 1 % of all values in it."""
    if not cell:
        return 0.0
    exponent = (abs(cell) + _FIRST) * _LOG_GROWTH + math.log(2 / (GROWTH + 1))
    return math.copysign(math.exp(min(exponent, math.log(_LARGEST))), cell)


def edges(cell: int) -> tuple[float, float]:
    """Between which values a cell lies."""
    if not cell:
        return -SMALLEST, SMALLEST
    # A hair more than the cell: the logarithm that put a value here was rounded.
    inner = math.exp((abs(cell) + _FIRST - 1) * _LOG_GROWTH) * (1 - 1e-9)
    outer = math.exp(min((abs(cell) + _FIRST) * _LOG_GROWTH, math.log(_LARGEST))) * (1 + 1e-9)
    return (inner, outer) if cell > 0 else (-outer, -inner)


def ranks(n: int, share: float, confidence: float) -> tuple[int, int]:
    """The ranks (from 1) between which the quantile lies with this confidence; 0 and n + 1 are beyond all values."""
    import numpy as np

    spread = math.sqrt(n * share * (1 - share))
    first = max(0, math.floor(n * share - 12 * spread - 30))
    last = min(n, math.ceil(n * share + 12 * spread + 30))
    k = np.arange(first, last)
    steps = np.log((n - k) / (k + 1)) + math.log(share / (1 - share))
    chances = np.concatenate([[0.0], np.cumsum(steps)])
    chances = np.exp(chances - chances.max())
    upto = np.cumsum(chances) / chances.sum()
    # P(fewer than `lower` values lie below) and P(at least `upper` do) are each at most half of what is left.
    tail = (1 - confidence) / 2
    lower = first + int(np.searchsorted(upto, tail, side="right"))
    upper = first + int(np.searchsorted(upto, 1 - tail, side="left")) + 1
    return lower, upper


def write_many(owner: NDArray[np.int64], cells: NDArray[np.int64], counts: NDArray[np.int64], n: int) -> list[bytes]:
    """The bytes of n sketches at once, given for each cell, in order, the number of its sketch: undone by `read_many`.

    A sketch is how many cells it has, the steps from cell to cell (zigzag) and the counts, as varints of 7 bits a byte.
    """
    import numpy as np

    sizes = np.bincount(owner, minlength=n)
    begins = np.cumsum(2 * sizes + 1) - (2 * sizes + 1)
    place = np.arange(len(owner)) - (np.cumsum(sizes) - sizes)[owner]
    steps = np.diff(cells, prepend=0)
    steps[place == 0] = cells[place == 0]
    numbers = np.empty(2 * len(owner) + n, np.int64)
    numbers[begins] = sizes
    numbers[begins[owner] + 1 + place] = (steps << 1) ^ (steps >> 63)
    numbers[begins[owner] + 1 + sizes[owner] + place] = counts
    packed, lengths = _packed(numbers)
    ends = np.cumsum(np.add.reduceat(lengths, begins)) if n else begins
    return [packed[start:end] for start, end in zip([0, *ends[:-1].tolist()], ends.tolist(), strict=bool(n))]


def _packed(numbers: NDArray[np.int64]) -> tuple[bytes, NDArray[np.int64]]:
    """Numbers from 0 on as base-128 varints, the low 7 bits first, and how many bytes each took."""
    import numpy as np

    parts = [numbers]
    while parts[-1].max(initial=0) >= 128:
        parts.append(parts[-1] >> 7)
    table = np.stack(parts, axis=1)
    more = np.concatenate([table[:, 1:] > 0, np.zeros((len(table), 1), bool)], axis=1)
    present = np.concatenate([np.ones((len(table), 1), bool), more[:, :-1]], axis=1)
    packed = ((table & 127) | (more.astype(np.int64) << 7))[present].astype(np.uint8)
    return bytes(packed), present.sum(axis=1)


def read_many(bodies: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    """Many sketches at once: for each cell of each the number of its sketch, the cell and its count.

    Raises ValueError where the bytes are no sketches.
    """
    import numpy as np

    numbers, owner = _unpacked(bodies)
    starts = np.searchsorted(owner, np.arange(len(bodies)))
    sizes = numbers[starts] if len(starts) else np.zeros(0, np.int64)
    if not np.array_equal(np.bincount(owner, minlength=len(bodies)), 2 * sizes + 1):
        raise ValueError("these bytes are no sketch, or part of one")
    place = np.arange(len(numbers)) - starts[owner]
    is_step = (place >= 1) & (place <= sizes[owner])
    is_count = place > sizes[owner]
    row = owner[is_step]
    zigzag = numbers[is_step]
    steps = (zigzag >> 1) ^ -(zigzag & 1)
    total = np.cumsum(steps)
    # What had been summed up before the row began.
    before = np.concatenate([[0], total])[np.searchsorted(row, np.arange(len(bodies)))]
    return row, total - before[row], numbers[is_count]


def _unpacked(bodies: Sequence[bytes]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The varints of all bodies, and which body each came from."""
    import numpy as np

    data = np.frombuffer(b"".join(bodies), np.uint8).astype(np.int64)
    body = np.repeat(np.arange(len(bodies)), [len(b) for b in bodies])
    ends = np.flatnonzero(data < 128)
    if any(not b or b[-1] >= 128 for b in bodies):
        raise ValueError("these bytes are no sketch, or part of one")
    starts = np.concatenate([[0], ends[:-1] + 1]).astype(np.int64) if len(ends) else ends
    shift = 7 * (np.arange(len(data)) - np.repeat(starts, ends - starts + 1))
    if shift.max(initial=0) > 62:
        raise ValueError("these bytes are no sketch, or part of one")
    parts = np.where(data < 128, data, data & 127) << shift
    return np.add.reduceat(parts, starts) if len(starts) else parts, body[ends]
