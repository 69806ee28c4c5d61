"""Slice finder looks for the parts of a sample where a model errs more than elsewhere, beyond chance."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import NormalDist

import numpy as np
from msgspec import Struct
from numpy.typing import NDArray

from roadworthy.core.measure import Measurement
from roadworthy.core.multiplicity import Correction, corrected
from roadworthy.core.sample import Sample
from roadworthy.core.stats import mean, midranks, proportion
from roadworthy.evaluate.slices import ALL, SliceKind, facets

Floats = NDArray[np.float64]
_CHUNK = 8192


class WeakSlice(Struct, frozen=True):
    """A part where the error is higher: the error there and elsewhere, and p corrected for all parts looked at."""

    where: str
    error: Measurement
    elsewhere: Measurement
    p: float
    looked_at: int


@dataclass(frozen=True)
class _Parts:
    """Which rows are in which part: `inside` (n, s) as 0 and 1, with the names of the parts and what cuts them."""

    names: tuple[str, ...]
    facet: NDArray[np.int64]
    inside: NDArray[np.bool_]

    def rows(self, pair: tuple[int, int]) -> NDArray[np.bool_]:
        return np.asarray(self.inside[:, pair[0]] & self.inside[:, pair[1]])

    def where(self, pair: tuple[int, int]) -> str:
        one, other = (self.names[k] for k in pair)
        return one if one == other else f"{one}, {other}"


def weak_slices(
    sample: Sample,
    errors: Floats,
    *,
    kinds: Sequence[SliceKind] = ALL,
    at_least: int = 50,
    alpha: float = 0.01,
    correction: Correction = "holm",
    pairs: bool = True,
    most: int = 20,
) -> tuple[WeakSlice, ...]:
    """Parts of one or two facets whose mean error is higher than elsewhere, the surest first.

    `errors` (n,) are 0 and 1 (wrong), or losses, NaN where unknown. A part is tested against all other rows: exactly
    (hypergeometric) for 0 and 1, by ranks (Wilcoxon 1945) for losses. `alpha` bounds the chance of any false one
    (Holm 1979), or the expected share of false ones (Benjamini & Hochberg 1995). A part that says no more than one
    already given is left out.
    """
    known = np.flatnonzero(~np.isnan(errors))
    sample, errors = sample.take(known), errors[known]
    parts = _cut(sample, kinds, at_least)
    if not len(parts.names) or errors.min() == errors.max():
        return ()
    binary = bool(np.isin(errors, (0.0, 1.0)).all())
    marks = errors if binary else _ranks(errors)
    tested = _tested(parts, marks, at_least, binary, pairs)
    levels = corrected([p for _, p in tested], correction)
    found = [(pair, level) for (pair, _), level in zip(tested, levels, strict=True) if level <= alpha]
    kept = list(_telling(parts, marks, found, alpha / max(1, len(tested)), binary, most))
    return tuple(_weak(parts.where(pair), errors, parts.rows(pair), p, len(tested), binary) for pair, p in kept)


def _cut(sample: Sample, kinds: Sequence[SliceKind], at_least: int) -> _Parts:
    names, facet, columns = [], [], []
    for number, (name, values) in enumerate(facets(sample, kinds)):
        found, group, counts = np.unique(values, return_inverse=True, return_counts=True)
        for k in np.flatnonzero((counts >= at_least) & (counts <= sample.n - at_least)):
            names.append(f"{name}={found[k]}")
            facet.append(number)
            columns.append(group == k)
    inside = np.stack(columns, axis=1) if columns else np.zeros((sample.n, 0), dtype=bool)
    return _Parts(tuple(names), np.array(facet, dtype=np.int64), inside)


def _tested(
    parts: _Parts, marks: Floats, at_least: int, binary: bool, pairs: bool
) -> list[tuple[tuple[int, int], float]]:
    """Every part and pair of parts with its one-sided p-value, the least first; a part alone is its own pair."""
    counts, sums = _sums(parts.inside, marks)
    n, total, variance = len(marks), float(marks.sum()), float(marks.var(ddof=1))
    one, other = np.nonzero(np.triu(counts >= at_least) & (counts <= n - at_least))
    fair = (one == other) | ((parts.facet[one] != parts.facet[other]) & pairs)
    one, other = one[fair], other[fair]
    count, found = counts[one, other], sums[one, other]
    spread = np.sqrt(variance * count * (n - count) / n)
    z = (found - total * count / n) / np.maximum(spread, 1e-12)
    rough = [NormalDist().cdf(-value) for value in z.tolist()]
    tested = []
    for k, p in enumerate(rough):
        hits, inside = round(float(found[k])), round(float(count[k]))
        # The normal tail is too thin where errors are rare, so what looks remarkable is computed exactly.
        exact = _tail(hits, inside, round(total), n) if binary and p < 0.05 else p
        tested.append((exact, -float(z[k]), (int(one[k]), int(other[k]))))
    # What is too sure for a float to tell apart is told apart by z.
    return [(pair, p) for p, _, pair in sorted(tested)]


def _sums(inside: NDArray[np.bool_], marks: Floats) -> tuple[Floats, Floats]:
    """Rows and marks in each pair of parts (s, s)."""
    s = inside.shape[1]
    counts, sums = np.zeros((s, s)), np.zeros((s, s))
    for start in range(0, len(marks), _CHUNK):
        part = inside[start : start + _CHUNK].astype(np.float64)
        counts += part.T @ part
        sums += part.T @ (part * marks[start : start + _CHUNK, None])
    return counts, sums


def _tail(hits: int, inside: int, total: int, n: int) -> float:
    """P(at least `hits` of the `total` wrong rows fall among `inside` of n), drawn without putting back."""

    def log_choose(a: int, b: int) -> float:
        return math.lgamma(a + 1) - math.lgamma(b + 1) - math.lgamma(a - b + 1)

    most, whole = min(inside, total), log_choose(n, inside)
    p = 0.0
    for k in range(hits, most + 1):
        term = (
            math.exp(log_choose(total, k) + log_choose(n - total, inside - k) - whole) if inside - k <= n - total else 0
        )
        p += term
        if term < p * 1e-12:
            break
    return min(1.0, p)


def _ranks(values: Floats) -> Floats:
    """Midranks in (0, 1): losses with a long tail would make one row look like a slice."""
    return midranks(values) / (len(values) + 1)


def _telling(
    parts: _Parts, marks: Floats, found: list[tuple[tuple[int, int], float]], level: float, binary: bool, most: int
) -> Iterator[tuple[tuple[int, int], float]]:
    """The surest part, then each that is still worse than elsewhere once the rows of those before are taken out."""
    left, given = np.ones(len(marks), dtype=bool), 0
    for pair, p in found:
        if given == most:
            return
        rows = parts.rows(pair)
        if given == 0 or _worse(marks[left], rows[left], binary) <= level:
            given += 1
            left &= ~rows
            yield pair, p


def _worse(marks: Floats, rows: NDArray[np.bool_], binary: bool) -> float:
    count, n = int(rows.sum()), len(marks)
    if not 0 < count < n:
        return 1.0
    if binary:
        return _tail(round(float(marks[rows].sum())), count, round(float(marks.sum())), n)
    spread = math.sqrt(float(marks.var(ddof=1)) * count * (n - count) / n)
    z = (float(marks[rows].sum()) - float(marks.sum()) * count / n) / spread if spread else 0.0
    return NormalDist().cdf(-z)


def _weak(where: str, errors: Floats, rows: NDArray[np.bool_], p: float, looked_at: int, binary: bool) -> WeakSlice:
    def error(part: Floats, name: str) -> Measurement:
        if binary:
            return proportion("wrong", int(part.sum()), len(part), name)
        return mean("loss", part, name)

    return WeakSlice(where, error(errors[rows], where), error(errors[~rows], "elsewhere"), p, looked_at)
