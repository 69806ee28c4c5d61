"""Counts how many rows of a reference column and of a current one fall into each of the same bins.

The bins stand up to outliers (they are quantiles, open at both ends) and to ties; null is a bin of its own.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from heapq import nsmallest
from itertools import pairwise
from operator import itemgetter
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

NULL = "null"
OTHER = "other values"
# Far beyond any measurement, and half way between two of them is still finite.
FARTHEST = 1e300


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


def count(reference: NDArray[Any], current: NDArray[Any], most: int) -> Counts:
    """Both columns in at most `most` bins and one for nulls (and one for rarer categories).

    Columns are float64 with NaN for null, or object of str/None. Where only one of them is text, the reference says
    how to read both, unless it is all null; what cannot be read as a number counts as null.
    """
    text = reference.dtype == object
    if text or (current.dtype == object and bool(np.isnan(reference).all())):
        return _categories(reference, current, most)
    return _numbers(reference, current, most)


def _numbers(reference: NDArray[Any], current: NDArray[Any], most: int) -> Counts:
    old, new = _sorted_numbers(reference), _sorted_numbers(current)
    edges = quantile_edges(old, most)
    names = [_between(low, high) for low, high in pairwise([-np.inf, *edges.tolist(), np.inf])]
    counted = [
        np.append(np.diff([0, *np.searchsorted(values, edges, side="right"), len(values)]), n - len(values))
        for values, n in ((old, len(reference)), (new, len(current)))
    ]
    return Counts((*names, NULL), counted[0].astype(np.float64), counted[1].astype(np.float64))


def quantile_edges(ordered: NDArray[np.float64], most: int) -> NDArray[np.float64]:
    """At most `most - 1` edges that cut sorted values into parts of near equal count, never through a tie.

    Edges lie half way between two neighbouring values, so that rounding to float32 moves no row across. A constant
    gets a narrow bin to itself.
    """
    n = len(ordered)
    if not n:
        return np.empty(0)
    targets = np.arange(1, most) * n // most
    before, after = (np.searchsorted(ordered, ordered[targets], side=side) for side in ("left", "right"))
    cuts = np.unique(np.where(targets - before < after - targets, before, after))
    cuts = cuts[(cuts > 0) & (cuts < n)]
    if not len(cuts) and ordered[0] == ordered[-1]:
        margin = 1e-6 * max(abs(float(ordered[0])), 1e-6)
        return np.array([ordered[0] - margin, ordered[0] + margin])
    return np.asarray((ordered[cuts - 1] + ordered[cuts]) / 2)


def _between(low: float, high: float) -> str:
    if np.isinf(low):
        return "numbers" if np.isinf(high) else f"up to {high:.4g}"
    return f"above {low:.4g}" if np.isinf(high) else f"{low:.4g} to {high:.4g}"


def _sorted_numbers(values: NDArray[Any]) -> NDArray[np.float64]:
    if values.dtype == object:
        values = np.array([v if isinstance(v, int | float) else np.nan for v in values], np.float64)
    known = values[~np.isnan(values)].astype(np.float64, copy=False)
    return np.sort(np.clip(known, -FARTHEST, FARTHEST))


def _categories(reference: NDArray[Any], current: NDArray[Any], most: int) -> Counts:
    old, new = Counter(reference.tolist()), Counter(current.tolist())
    nulls = [sum(n for value, n in counter.items() if _is_null(value)) for counter in (old, new)]
    # The commonest of both together, ties by name: the commonest of the reference alone are partly so by luck, and
    # would look rarer in any second sample.
    both = ((-n, str(value), value) for value, n in (old + new).items() if not _is_null(value))
    common = [value for _, _, value in nsmallest(most, both, key=itemgetter(0, 1))]
    rows = [[*(counter[value] for value in common), 0, null] for counter, null in zip((old, new), nulls, strict=True)]
    for row, n in zip(rows, (len(reference), len(current)), strict=True):
        row[-2] = n - sum(row)
    names = (*(repr(value) for value in common), OTHER, NULL)
    return Counts(names, np.array(rows[0], np.float64), np.array(rows[1], np.float64))


def _is_null(value: Any) -> bool:
    return value is None or value != value
