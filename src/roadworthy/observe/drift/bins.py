"""Counts how many rows of a reference column and of a current one fall into each of the same bins.

The bins stand up to outliers (they are quantiles of the reference, open at both ends) and to ties; null is a bin of its
own. Both columns were counted on one frame before, so no row is looked at again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from heapq import nsmallest
from itertools import pairwise
from typing import TYPE_CHECKING

import numpy as np

from roadworthy.core.columns import BUCKETS, Numbers, Values, bucket_of
from roadworthy.core.profile import Part

if TYPE_CHECKING:
    from numpy.typing import NDArray

NULL = "null"
OTHER = "other values"
# A value is certain to be among the commonest of a reference where it has so many standard errors more rows than the
# rarest one that was named; nearer to that one, it may be there by luck, and would look rarer in any second sample.
_CERTAIN = 6.0


@dataclass(frozen=True)
class Counts:
    """Rows a bin, in the reference (B,) and in the current column (B,); `names` says which rows those are."""

    names: tuple[str, ...]
    reference: NDArray[np.float64]
    current: NDArray[np.float64]

    def gather(self, least: float) -> tuple[Counts, bool]:
        """The thin bins made into one, which comes last; and whether that one is still thin.

        A bin is thin where the smaller column expects fewer than `least` rows. Only the sum of both columns decides
        that, so a test on what is gathered keeps its level.
        """
        both = self.reference + self.current
        smaller = min(self.reference.sum(), self.current.sum()) / both.sum()
        thin = both * smaller < least
        kept, rest = self._pick(~thin), self._pick(thin)
        if not both[thin].any():
            return kept, False
        name = rest.names[0] if len(rest.names) == 1 else OTHER
        gathered = Counts(
            (*kept.names, name),
            np.append(kept.reference, rest.reference.sum()),
            np.append(kept.current, rest.current.sum()),
        )
        return gathered, bool(both[thin].sum() * smaller < least)

    def _pick(self, mask: NDArray[np.bool_]) -> Counts:
        names = tuple(name for name, picked in zip(self.names, mask, strict=True) if picked)
        return Counts(names, self.reference[mask], self.current[mask])


def count(reference: Part, current: Part, most: int) -> Counts:
    """Both columns in at most `most` bins and one for nulls (and one for rarer categories)."""
    if isinstance(reference, Numbers) and isinstance(current, Numbers):
        return _numbers(reference, current, most)
    if isinstance(reference, Values) and isinstance(current, Values):
        return _categories(reference, current, most)
    raise TypeError("numbers and categories share no bins: count the current column `like` that of the reference")


def _numbers(reference: Numbers, current: Numbers, most: int) -> Counts:
    old, new = reference.counts(), current.counts()
    cuts = cuts_of(old, reference, most)
    edges = reference.grid.edges()[cuts].tolist()
    names = [_between(low, high) for low, high in pairwise([-np.inf, *edges, np.inf])]
    rows = [
        np.append(np.add.reduceat(cells, [0, *(cuts + 1)]), column.nulls).astype(np.float64)
        for cells, column in ((old, reference), (new, current))
    ]
    return Counts((*names, NULL), *rows)


def cuts_of(cells: NDArray[np.int64], column: Numbers, most: int) -> NDArray[np.int64]:
    """At most `most - 1` edges (by their place) that cut rows a cell into parts of near equal count.

    Between two cells that hold rows an edge lies half way. A constant gets a bin to itself.
    """
    held = np.flatnonzero(cells)
    if not len(held):
        return np.empty(0, np.int64)
    if len(held) == 1:
        return np.array([c for c in (held[0] - 1, held[0]) if 0 <= c < len(cells) - 1], np.int64)
    upto = np.cumsum(cells[held])
    targets = np.arange(1, most) * upto[-1] // most
    after = np.minimum(np.searchsorted(upto, targets, side="right"), len(held) - 1)
    before_rows = np.where(after > 0, upto[after - 1], 0)
    last = np.where(targets - before_rows < upto[after] - targets, after - 1, after)
    last = np.unique(last[(last >= 0) & (last < len(held) - 1)])
    left, right = held[last], held[last + 1]
    edges = column.grid.distances()
    middles = (edges[left] + edges[right - 1]) / 2
    return np.asarray(np.clip(np.searchsorted(edges, middles, side="right") - 1, left, right - 1))


def _between(low: float, high: float) -> str:
    if np.isinf(low):
        return "numbers" if np.isinf(high) else f"up to {high:.4g}"
    return f"above {low:.4g}" if np.isinf(high) else f"{low:.4g} to {high:.4g}"


def _categories(reference: Values, current: Values, most: int) -> Counts:
    old, new = reference.named, current.named
    if reference.rest:
        rarest = min(old.values(), default=0)
        certain = {v: n for v, n in old.items() if n > rarest + _CERTAIN * (rarest + 1) ** 0.5}
        common = _commonest(certain, new, certain, most // 2)
        return _with_nulls(_rest_in_buckets(reference, current, common, most - len(common)), reference, current)
    # The commonest of both together: the commonest of the reference alone are partly so by luck.
    common = _commonest(old, new, {**old, **new}, most)
    rows = [[named.get(v, 0) for v in common] for named in (old, new)]
    others = [float(column.n - column.nulls - sum(row)) for column, row in zip((reference, current), rows, strict=True)]
    names = (*(repr(value) for value in common), OTHER)
    counts = Counts(names, np.array([*rows[0], others[0]]), np.array([*rows[1], others[1]]))
    return _with_nulls(counts, reference, current)


def _commonest(old: Mapping[str, int], new: Mapping[str, int], among: Iterable[str], most: int) -> list[str]:
    """The values with the most rows in both, ties by name."""
    both = ((-old.get(value, 0) - new.get(value, 0), value) for value in among)
    return [value for _, value in nsmallest(most, both)]


def _rest_in_buckets(reference: Values, current: Values, common: list[str], most: int) -> Counts:
    """The common values by name, and all others by hash bucket: which ones share a bucket is no matter of luck."""
    groups = max(2, 1 << (max(most, 2).bit_length() - 1))
    places = [bucket_of(value) for value in common]
    rows = []
    for column in (reference, current):
        named, buckets = [column.named.get(value, 0) for value in common], column.in_buckets().copy()
        np.subtract.at(buckets, places, named)
        rows.append(np.array([*named, *buckets.reshape(BUCKETS // min(groups, BUCKETS), -1).sum(axis=0)], np.float64))
    names = [f"others {k + 1}/{len(rows[0]) - len(common)}" for k in range(len(rows[0]) - len(common))]
    for value, _ in sorted(current.named.items(), key=lambda item: item[1]):
        if value not in common:
            names[bucket_of(value) % len(names)] = f"others such as {value!r}"
    return Counts((*map(repr, common), *names), *rows)


def _with_nulls(counts: Counts, reference: Values, current: Values) -> Counts:
    return Counts(
        (*counts.names, NULL),
        np.append(counts.reference, float(reference.nulls)),
        np.append(counts.current, float(current.nulls)),
    )
