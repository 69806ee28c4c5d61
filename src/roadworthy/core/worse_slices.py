"""Finds the slices of some rows, of one or two facets, where answers are worse than elsewhere, beyond chance."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
from msgspec import Struct

from roadworthy.core.bounds import hypergeometric_cdf
from roadworthy.core.measure import Measurement
from roadworthy.core.multiplicity import Correction, corrected
from roadworthy.core.stats import mean, midranks, proportion

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Floats = NDArray[np.float64]

# Numbers with more distinct values than this are cut at their quantiles.
MOST_VALUES = 12
MOST_CATEGORIES = 40
# From so many spreads on errors are counted exactly: the normal tail is too thin where they are rare.
REMARKABLE = 1.6


class WorseSlice(Struct, frozen=True):
    """A part of the rows where the loss is higher: the loss there and elsewhere, and how much comes of it.

    `where` reads `column=value` or `column=value, column=value`. `excess` is the loss there that would be gone if it
    were as elsewhere, as a share of all loss. `p` is corrected for the `looked_at` slices, and so are the intervals.
    """

    where: str
    loss: Measurement
    elsewhere: Measurement
    excess: float
    p: float
    looked_at: int


@dataclass(frozen=True)
class Facet:
    """One thing that rows are cut by: the `names` of its parts, and the number of each row's part (n,)."""

    names: tuple[str, ...]
    part: NDArray[np.int64]

    @classmethod
    def of(cls, name: str, values: NDArray[Any]) -> Facet:
        """Each value that there is as a part."""
        found, part = np.unique(values, return_inverse=True)
        return cls(tuple(f"{name}={value}" for value in found), part)

    @classmethod
    def of_column(cls, name: str, values: NDArray[Any], quantiles: int = 4) -> Facet:
        """The values of a column where they are few, else its quantiles or commonest texts; null is a part."""
        return _texts(name, values) if values.dtype == object else _numbers(name, values, quantiles)


def facets_of(columns: Mapping[str, NDArray[Any]]) -> list[Facet]:
    """A facet for each column (n,); vectors (n, width) are cut by nothing."""
    return [Facet.of_column(name, values) for name, values in columns.items() if values.ndim == 1]


def worse_slices(
    facets: Sequence[Facet],
    loss: Floats,
    *,
    name: str = "wrong",
    at_least: int = 50,
    alpha: float = 0.01,
    correction: Correction = "holm",
    pairs: bool = True,
    most: int = 10,
) -> tuple[WorseSlice, ...]:
    """Slices of one or two facets whose mean loss is higher than elsewhere, the surest first.

    `loss` (n,) is 0 or 1 (wrong), or a number, NaN where unknown. A slice of `at_least` rows is tested against all
    other rows: by the hypergeometric law for 0 and 1, by ranks for numbers (Wilcoxon 1945), so that one huge loss is no
    slice. `alpha` bounds the chance of any false slice (Holm 1979), or the expected share of false ones among those
    found (Benjamini & Hochberg 1995). What a surer slice explains already is left out.
    """
    known = np.flatnonzero(~np.isnan(loss))
    loss = loss[known]
    if len(loss) < 2 * at_least or loss.min() == loss.max():
        return ()
    binary = bool(np.isin(loss, (0.0, 1.0)).all())
    marks = _Marks(loss if binary else _ranks(loss), binary)
    cut = [Facet(facet.names, facet.part[known]) for facet in facets]
    tested = sorted(_tested(cut, marks, at_least, pairs), key=lambda part: (part.p, -part.z))
    levels = corrected([part.p for part in tested], correction)
    found = [(part, p) for part, p in zip(tested, levels, strict=True) if p <= alpha]
    telling = _telling(found, marks, alpha / max(1, len(tested)), most)
    return tuple(_slice(part, p, loss, binary, name, len(tested)) for part, p in telling)


@dataclass(frozen=True)
class _Marks:
    """What is compared: the losses where they are 0 and 1, else their ranks."""

    values: Floats
    binary: bool

    def worse(self, inside: NDArray[np.bool_]) -> float:
        """The one-sided p-value of these rows against the others."""
        count = int(inside.sum())
        if not 0 < count < len(self.values):
            return 1.0
        law = _Law.of(self)
        return law.p(count, float(self.values[inside].sum()))[0]


@dataclass(frozen=True)
class _Law:
    """How the sum of the marks of so many rows is spread where the slice is like any other."""

    n: int
    total: float
    variance: float
    binary: bool

    @classmethod
    def of(cls, marks: _Marks) -> _Law:
        return cls(len(marks.values), float(marks.values.sum()), float(marks.values.var(ddof=1)), marks.binary)

    def z(self, count: Floats, found: Floats) -> Floats:
        spread = self.variance * count * (self.n - count) / self.n
        return np.asarray((found - self.total * count / self.n) / np.sqrt(np.maximum(spread, 1e-12)))

    def p(self, count: int, found: float) -> tuple[float, float]:
        """The p-value and z."""
        z = float(self.z(np.array([float(count)]), np.array([found]))[0])
        if self.binary and z > REMARKABLE:
            # At least so many wrong rows are at most so many right ones.
            return hypergeometric_cdf(count - round(found), self.n, self.n - round(self.total), count), z
        # Not 1 - cdf, which is 0 from z = 8.3 on: slices are ranked by this.
        return math.erfc(z / math.sqrt(2)) / 2, z


@dataclass(frozen=True)
class _Part:
    """A slice that was tested: the facets and the numbers of their parts that make it."""

    facets: tuple[tuple[Facet, int], ...]
    p: float
    z: float

    @property
    def rows(self) -> NDArray[np.bool_]:
        inside = [facet.part == k for facet, k in self.facets]
        return np.asarray(np.logical_and.reduce(inside))

    @property
    def where(self) -> str:
        return ", ".join(facet.names[k] for facet, k in self.facets)


def _numbers(name: str, values: NDArray[Any], quantiles: int) -> Facet:
    known = values[~np.isnan(values)]
    found = np.unique(known)
    if len(found) <= MOST_VALUES:
        part = np.searchsorted(found, np.where(np.isnan(values), 0.0, values))
        names = [f"{name}={value:g}" for value in found.tolist()]
    else:
        edges = np.unique(np.quantile(known[np.isfinite(known)], np.linspace(0, 1, quantiles + 1)[1:-1]))
        part = np.searchsorted(edges, values, side="right")
        told = [f"{edge:.4g}" for edge in edges.tolist()]
        names = [f"{name}<{told[0]}", *(f"{name}={a}..{b}" for a, b in pairwise(told))]
        names.append(f"{name}>={told[-1]}")
    return Facet((*names, f"{name}=null"), np.where(np.isnan(values), len(names), part).astype(np.int64))


def _texts(name: str, values: NDArray[Any]) -> Facet:
    given = ["null" if value is None else str(value) for value in values.tolist()]
    common = [value for value, _ in Counter(given).most_common(MOST_CATEGORIES)]
    number = {value: k for k, value in enumerate(common)}
    names = (*(f"{name}={value}" for value in common), f"{name}=any other")
    return Facet(names, np.array([number.get(value, len(common)) for value in given], np.int64))


def _tested(facets: Sequence[Facet], marks: _Marks, at_least: int, pairs: bool) -> Iterator[_Part]:
    """Every slice with rows enough, inside and outside, with its p-value."""
    law = _Law.of(marks)
    for facet in facets:
        yield from _parts((facet,), marks, law, at_least)
    for one, other in combinations(facets, 2) if pairs else ():
        # With a part that is nearly all rows, or nearly none, a pair says no more than the other part alone.
        cuts = [_cuts(facet, at_least) for facet in (one, other)]
        for part in _parts((one, other), marks, law, at_least):
            if all(cut[k] for cut, (_, k) in zip(cuts, part.facets, strict=True)):
                yield part


def _cuts(facet: Facet, at_least: int) -> NDArray[np.bool_]:
    """Which parts of a facet have rows enough, inside and outside."""
    counts = np.bincount(facet.part, minlength=len(facet.names))
    return np.asarray((counts >= at_least) & (counts <= len(facet.part) - at_least))


def _parts(facets: tuple[Facet, ...], marks: _Marks, law: _Law, at_least: int) -> Iterator[_Part]:
    width = len(facets[-1].names)
    cell = facets[0].part if len(facets) == 1 else facets[0].part * width + facets[1].part
    counts = np.bincount(cell).astype(np.float64)
    sums = np.bincount(cell, marks.values)
    for k in np.flatnonzero((counts >= at_least) & (counts <= law.n - at_least)).tolist():
        p, z = law.p(int(counts[k]), float(sums[k]))
        numbers = (k,) if len(facets) == 1 else divmod(k, width)
        yield _Part(tuple(zip(facets, numbers, strict=True)), p, z)


def _ranks(values: Floats) -> Floats:
    """Midranks in (0, 1)."""
    return midranks(values) / (len(values) + 1)


def _telling(
    found: Sequence[tuple[_Part, float]], marks: _Marks, level: float, most: int
) -> Iterator[tuple[_Part, float]]:
    """The surest slice, then each that is still worse than elsewhere once the rows of those before are taken out."""
    left, given = np.ones(len(marks.values), dtype=bool), 0
    for part, p in found:
        if given == most:
            return
        rows = part.rows
        if given == 0 or _Marks(marks.values[left], marks.binary).worse(rows[left]) <= level:
            given += 1
            left &= ~rows
            yield part, p


def _slice(part: _Part, p: float, loss: Floats, binary: bool, name: str, looked_at: int) -> WorseSlice:
    # The slices that look worst are partly so by luck: their intervals are those of the worst of all looked at.
    confidence = 1 - 0.05 / looked_at
    inside = part.rows

    def measured(rows: Floats, where: str) -> Measurement:
        if binary:
            return proportion(name, int(rows.sum()), len(rows), where, confidence)
        return mean(name, rows, where, confidence=confidence)

    within, elsewhere = measured(loss[inside], part.where), measured(loss[~inside], "elsewhere")
    excess = float((within.value - elsewhere.value) * inside.sum() / loss.sum())
    return WorseSlice(part.where, within, elsewhere, excess, p, looked_at)
