"""Cells cut the real line finely near a centre and ever more coarsely far from it, so that every number falls into one.

A number's cell depends on the grid alone and never on the other numbers: counts of two tables on one grid can be added
and compared, and no value, however far out, moves the edges.
"""

from __future__ import annotations

import zlib
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from msgspec import Struct

if TYPE_CHECKING:
    from numpy.typing import NDArray

# Around the centre cells are equally wide, up to a 64th of the scale; beyond, there are 2**bits for each doubling.
NEAR = 2.0**-6
_NEAR_BITS = 121
# Whatever lies further than 2**40 scales from the centre is in the outermost cell: there are no measurements there.
_OCTAVES = 46
# So many rows at a time: what is computed on the way stays below the size at which memory is asked of the kernel, page
# by page, each time anew; that costs up to ten times as much.
_ROWS = 1 << 13
# A generic factor: cell edges at round distances from the centre would cut through values such as 0.1, whose float32
# lies on the other side of the edge from their float64.
_GENERIC = 0.9189385332
_FARTHEST = 1e140
_SAMPLED = 200_000


class Tally(NamedTuple):
    """What was counted of a column: rows a cell from left to right, unknown ones, the sums of distances and squares."""

    cells: NDArray[np.int64]
    nulls: int
    total: float
    squares: float


class Grid(Struct, frozen=True, omit_defaults=True):
    """Cells around `centre`, in units of 1 / `scale`, with 2**`bits` cells for each doubling of the distance."""

    centre: float = 0.0
    scale: float = 1.0
    bits: int = 5

    @classmethod
    def of(cls, values: NDArray[Any], bits: int = 5) -> Grid:
        """The grid that suits a column: around its median, in units of its robust standard deviation."""
        known = values[np.isfinite(values)].astype(np.float64, copy=False)
        known = known[:: max(1, len(known) // _SAMPLED)]
        if not len(known):
            return cls(bits=bits)
        low, centre, high = (float(q) for q in np.quantile(known, (0.25, 0.5, 0.75), method="lower"))
        spread = min((high / 2 - low / 2) * 2 / 1.349, 1e300)
        if not spread > 0:
            away = np.abs(known / 2 - centre / 2)
            spread = float(np.median(away[away > 0])) if away.any() else 0.0
        # A constant keeps to the innermost cell though it is rounded to float32.
        least = 1e-6 * max(abs(centre), 1e-6) * 2**bits / NEAR
        return cls(centre, min(_GENERIC / (spread or least), 1e300), bits)

    def count(self, values: NDArray[Any]) -> Tally:
        """How many of the values (any numbers; NaN is unknown) fall into each cell."""
        side = (255 - _NEAR_BITS + 1) << self.bits
        found, total, squares = np.zeros(2 * side, np.int64), 0.0, 0.0
        with np.errstate(over="ignore", invalid="ignore"):
            for start in range(0, len(values), _ROWS):
                # The centre -0.0 makes -0.0 and 0.0 one value.
                away = np.subtract(values[start : start + _ROWS], self.centre or -0.0, dtype=np.float64)
                away *= self.scale
                found += np.bincount(self._cells(away, side), minlength=2 * side)
                sums = _sums(away)
                total, squares = total + sums[0], squares + sums[1]
        return self._tally(found, total, squares)

    def edges(self) -> NDArray[np.float64]:
        """The values between neighbouring cells (one fewer than there are cells), from left to right."""
        return self._values(self.distances())

    def distances(self) -> NDArray[np.float64]:
        """The same edges as distances from the centre, in units of 1 / `scale`."""
        return _distances(self.bits)

    @property
    def unit(self) -> float:
        """The robust standard deviation that the grid was made for, in units of 1 / `scale`."""
        return _GENERIC

    def middles(self) -> NDArray[np.float64]:
        """A value in each cell; those of the outermost cells are their inner edges."""
        return self._values(self.places())

    def places(self) -> NDArray[np.float64]:
        """The same as distances from the centre, in units of 1 / `scale`."""
        edges = self.distances()
        return np.concatenate([edges[:1], (edges[:-1] + edges[1:]) / 2, edges[-1:]])

    def _values(self, distances: NDArray[np.float64]) -> NDArray[np.float64]:
        with np.errstate(over="ignore"):
            return np.asarray(self.centre + distances / self.scale)

    def _cells(self, away: NDArray[np.float64], side: int) -> NDArray[np.uint32]:
        """The bits of a float are in the order of its size: the leading ones are the cell."""
        near = away.astype(np.float32)
        negative = near.view(np.uint32) >> np.uint32(31)
        np.abs(near, out=near)
        near += np.float32(NEAR)
        place = near.view(np.uint32)
        place >>= np.uint32(23 - self.bits)
        place -= np.uint32(_NEAR_BITS << self.bits)
        negative *= np.uint32(side)
        place += negative
        return place

    def _tally(self, found: NDArray[np.int64], total: float, squares: float) -> Tally:
        right, left = found.reshape(2, -1)
        infinite = (255 - _NEAR_BITS) << self.bits
        nulls = int(right[infinite + 1 :].sum() + left[infinite + 1 :].sum())
        last = _OCTAVES << self.bits
        right, left = (np.append(half[:last], half[last : infinite + 1].sum()) for half in (right, left))
        # The innermost cell lies on both sides, so that rounding moves nothing that is at the centre.
        inner = right[0] + left[0]
        return Tally(np.concatenate([left[:0:-1], [inner], right[1:]]), nulls, total, squares)


@lru_cache(maxsize=8)
def _distances(bits: int) -> NDArray[np.float64]:
    """The edges between cells, as distances from the centre in units of the scale."""
    places = np.arange(1, (_OCTAVES << bits) + 1, dtype=np.uint32) + np.uint32(_NEAR_BITS << bits)
    outwards = (places << np.uint32(23 - bits)).view(np.float32).astype(np.float64) - NEAR
    edges = np.concatenate([-outwards[::-1], outwards])
    edges.setflags(write=False)
    return edges


def _sums(away: NDArray[np.float64]) -> tuple[float, float]:
    total, squares = float(away.sum()), float(away @ away)
    if not np.isfinite(total + squares):
        away = np.clip(away[~np.isnan(away)], -_FARTHEST, _FARTHEST)
        total, squares = float(away.sum()), float(away @ away)
    return total, squares


def pack(counts: NDArray[np.int64]) -> bytes:
    """Counts in few bytes: the high bytes of all of them together, which are mostly 0, and so on to the low ones."""
    planes = counts.astype("<u8").view(np.uint8).reshape(-1, 8).T
    return zlib.compress(planes.tobytes(), 6)


@lru_cache(maxsize=256)
def unpack(packed: bytes) -> NDArray[np.int64]:
    """The counts that were packed (read only: a reference is asked for them again and again)."""
    planes = np.frombuffer(zlib.decompress(packed), np.uint8).reshape(8, -1)
    counts = np.ascontiguousarray(planes.T).view("<u8").ravel().astype(np.int64)
    counts.setflags(write=False)
    return counts
