"""Shift measures how far production's inputs and answers lie from the lab's, column by column, with no label needed."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core.language import language_of
from roadworthy.core.measure import Measurement
from roadworthy.core.multiplicity import holm
from roadworthy.core.sample import Sample
from roadworthy.core.stats import chi2_survival, nothing, z_of

Array = NDArray[Any]
Floats = NDArray[np.float64]

# A chi-square is close enough where each bin expects this many rows.
_FILLED = 5.0
_REST = "all rarer values"


def shift(lab: Sample, production: Sample, ignore: Sequence[str] = ()) -> tuple[Measurement, ...]:
    """The distance of every column that both have, the farthest first; `conditions["p"]` is corrected (Holm 1979).

    Numbers have the Kolmogorov-Smirnov distance, categories and languages the Jensen-Shannon distance; both lie in
    [0, 1], 0 being the same law. Of text length and language are compared, of an image its brightness; the share of
    nulls is a comparison of its own where there are any. A p-value says whether a distance is chance, which it hardly
    ever is in large samples: the distance says whether it matters.
    """
    found = [
        measured
        for name in lab.columns
        if name in production.columns and name not in ignore
        for measured in _compared(name, lab, production)
    ]
    return _corrected(found)


def answers_shift(lab: Array, production: Array, where: str = "answers") -> tuple[Measurement, ...]:
    """The distance between the answers in the lab and those in production; of k classes that of what is decided on."""
    if lab.dtype == object:
        return tuple(_texts(where, lab, production))
    if lab.ndim == 2:
        return (js_distance(_decided(lab), _decided(production), where),)
    return (ks_distance(lab, production, where),)


def ks_distance(lab: Array, production: Array, where: str = "") -> Measurement:
    """The largest distance between two distribution functions, nulls left out (Kolmogorov 1933, Smirnov 1939).

    The interval is that of both functions by Dvoretzky, Kiefer & Wolfowitz with Massart's constant (1990), at 97.5 %
    each: it is wide, and holds for every law. p has Stephens' correction (1970).
    """
    one, other = (np.sort(part[np.isfinite(part)].astype(np.float64)) for part in (lab, production))
    n, m = len(one), len(other)
    if not n or not m:
        return nothing("ks", where=where)
    at = np.concatenate([one, other])
    below = np.searchsorted(one, at, "right") / n - np.searchsorted(other, at, "right") / m
    farthest = int(np.abs(below).argmax())
    distance, rows = float(abs(below[farthest])), n * m / (n + m)
    half = sum(math.sqrt(math.log(2 / 0.025) / (2 * count)) for count in (n, m))
    side = "lower" if below[farthest] < 0 else "higher"
    told = {
        "p": _kolmogorov((math.sqrt(rows) + 0.12 + 0.11 / math.sqrt(rows)) * distance),
        "most": f"production is {side}: median {np.median(one):.4g} became {np.median(other):.4g}",
    }
    return Measurement("ks", distance, m, max(0.0, distance - half), min(1.0, distance + half), "1", where, told)


def js_distance(lab: Array, production: Array, where: str = "") -> Measurement:
    """The square root of the Jensen-Shannon divergence in bits (Lin 1991; a metric: Endres & Schindelin 2003).

    The divergence times 8 ln 2 n m / (n + m) is near a chi-square with one degree fewer than there are values, which
    gives p and, by its noncentral normal approximation, the interval. Rare values are gathered into one.
    """
    names, counts = _counted(lab, production)
    n, m = (float(part.sum()) for part in counts)
    if not n or not m:
        return nothing("js", where=where)
    old, new = counts[0] / n, counts[1] / m
    middle = (old + new) / 2
    parts = (_entropies(old, middle) + _entropies(new, middle)) / 2
    freedom, scale = max(1, len(names) - 1), 8 * math.log(2) * n * m / (n + m)
    divergence = max(0.0, float(parts.sum()))
    centre = max(0.0, divergence * scale - freedom)
    half = z_of(0.95) * math.sqrt(2 * (freedom + 2 * centre))
    low, high = (max(0.0, bound) / scale for bound in (centre - half, centre + half))
    top = int(np.abs(new - old).argmax())
    told = {
        "p": chi2_survival(float((n * m / (n + m)) * _chi_square(old, new, n, m)), freedom) if len(names) > 1 else 1.0,
        "most": f"{names[top]!r}: {old[top]:.1%} became {new[top]:.1%}",
    }
    value = math.sqrt(divergence)
    bounds = min(math.sqrt(low), value), min(1.0, max(math.sqrt(high), value))
    return Measurement("js", value, int(m), *bounds, "1", where, told)


def _compared(name: str, lab: Sample, production: Sample) -> Iterator[Measurement]:
    old, new = lab.columns[name], production.columns[name]
    gone, going = _null(old), _null(new)
    if gone.any() or going.any():
        yield js_distance(np.where(gone, "null", "value"), np.where(going, "null", "value"), f"{name} (nulls)")
    if name in lab.of_kind("text") and old.dtype == object:
        yield from _texts(name, old, new)
    elif old.dtype == object:
        yield js_distance(old, new, name)
    elif old.ndim > 1:
        what = "brightness" if name in lab.of_kind("image") else "mean"
        yield ks_distance(_level(old), _level(new), f"{name} ({what})")
    else:
        yield ks_distance(old, new, name)


def _texts(name: str, old: Array, new: Array) -> Iterator[Measurement]:
    yield ks_distance(_lengths(old), _lengths(new), f"{name} (length)")
    yield js_distance(_languages(old), _languages(new), f"{name} (language)")


def _lengths(texts: Array) -> Floats:
    return np.array([len(text) for text in texts.tolist() if text is not None], dtype=np.float64)


def _languages(texts: Array) -> Array:
    return np.array([language_of(text) for text in texts.tolist() if text is not None], dtype=object)


def _level(column: Array) -> Floats:
    """The mean of each row of a vector or an image, NaN where all of it is null."""
    flat = column.reshape(len(column), -1).astype(np.float64)
    count = (~np.isnan(flat)).sum(axis=1)
    return np.asarray(np.where(count, np.nansum(flat, axis=1) / np.maximum(count, 1), np.nan), dtype=np.float64)


def _decided(answers: Array) -> Array:
    return np.asarray(answers[~np.isnan(answers).any(axis=1)].argmax(axis=1).astype(str))


def _null(column: Array) -> NDArray[np.bool_]:
    if column.dtype == object:
        return np.array([value is None for value in column.tolist()], dtype=bool)
    empty = np.isnan(column)
    return np.asarray(empty.all(axis=1) if column.ndim > 1 else empty, dtype=bool)


def _counted(lab: Array, production: Array) -> tuple[list[str], tuple[Floats, Floats]]:
    """How often each value comes in either; those too rare for a chi-square are counted together."""
    old, new = (Counter(str(v) for v in part.tolist() if v is not None) for part in (lab, production))
    n, m = max(1, old.total()), max(1, new.total())
    least = _FILLED * (n + m) / min(n, m)
    names = sorted(value for value in old | new if old[value] + new[value] >= least)
    rest = [old.total() - sum(old[v] for v in names), new.total() - sum(new[v] for v in names)]
    counts = [[float(part[v]) for v in names] for part in (old, new)]
    if any(rest):
        names.append(_REST)
        for part, rare in zip(counts, rest, strict=True):
            part.append(float(rare))
    return names, (np.array(counts[0]), np.array(counts[1]))


def _entropies(shares: Floats, middle: Floats) -> Floats:
    """Each value's part of the divergence from the middle, in bits."""
    ratio = np.divide(shares, middle, out=np.ones_like(shares), where=shares > 0)
    return np.asarray(shares * np.log2(ratio))


def _chi_square(old: Floats, new: Floats, n: float, m: float) -> float:
    """Pearson's statistic of two samples, without the factor n m / (n + m)."""
    return float(((old - new) ** 2 / np.maximum((n * old + m * new) / (n + m), 1e-300)).sum())


def _kolmogorov(value: float) -> float:
    """P(Kolmogorov's statistic > value)."""
    if value < 0.2:
        return 1.0
    terms = [(-1.0) ** (k - 1) * math.exp(-2 * k * k * value * value) for k in range(1, 101)]
    return min(1.0, max(0.0, 2 * math.fsum(terms)))


def _corrected(found: Sequence[Measurement]) -> tuple[Measurement, ...]:
    """What was measured, the largest first, its p-values made to count all columns."""
    known = [m for m in found if m.n]
    adjusted = holm([m.conditions["p"] for m in known])
    told = [replace(m, conditions={**m.conditions, "p": p}) for m, p in zip(known, adjusted, strict=True)]
    return (*sorted(told, key=lambda m: -m.value), *(m for m in found if not m.n))
