"""Slices cuts a sample into the parts that people ask about: when, who, how long, in which language, which values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.language import language_of
from roadworthy.core.sample import Sample

Rows = NDArray[np.int64]
SliceKind = Literal["month", "hour", "weekday", "tag", "length", "language", "category", "number"]
ALL: tuple[SliceKind, ...] = get_args(SliceKind)
# What is worth a row in every report; columns are for `worse_slices`, which finds those that matter.
EVERYDAY: tuple[SliceKind, ...] = ("month", "hour", "weekday", "tag", "length", "language")
DAY, HOUR = 86_400.0, 3_600.0
_WEEKDAYS = np.array(["Thu", "Fri", "Sat", "Sun", "Mon", "Tue", "Wed"])
_MONDAY_FIRST = ["Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun"]

# What a slice is cut by, and the value of each row.
Facet = tuple[str, NDArray[Any]]


def slices(
    sample: Sample, at_least: int = 200, most: int = 50, kinds: Sequence[SliceKind] = ("month", "tag")
) -> Iterator[tuple[str, Rows]]:
    """Name and row numbers of every slice with `at_least` rows: `month=2013-05` (UTC) in order, then `tag=value`.

    Of one tag or column only the `most` common values are given: a tag that is an id in disguise is no slice.
    `EVERYDAY` adds hour, weekday, length and language of text; `ALL` the columns too, numbers in quarters.
    """
    for name, values in facets(sample, kinds, most):
        yield from _parts(name, values, at_least, 1200 if name == "month" else most)


def facets(sample: Sample, kinds: Sequence[SliceKind] = ALL, most: int = 50) -> Iterator[Facet]:
    """What the rows can be cut by, with the value of each row (n,); "" is a row without one."""
    for kind in ALL:
        if kind in kinds and sample.n:
            yield from _FACETS[kind](sample, most)


def _months(sample: Sample, most: int) -> Iterator[Facet]:
    if sample.at is not None:
        yield "month", sample.at.astype("datetime64[s]").astype("datetime64[M]").astype(str)


def _hours(sample: Sample, most: int) -> Iterator[Facet]:
    if sample.at is not None:
        yield "hour", np.char.zfill((sample.at % DAY // HOUR).astype(np.int64).astype(str), 2)


def _weekdays(sample: Sample, most: int) -> Iterator[Facet]:
    if sample.at is not None:
        yield "weekday", _WEEKDAYS[(sample.at // DAY % 7).astype(np.int64)]


def _tags(sample: Sample, most: int) -> Iterator[Facet]:
    for tag, values in sample.tags.items():
        yield tag, values.astype(str)


def _lengths(sample: Sample, most: int) -> Iterator[Facet]:
    for name in sample.of_kind("text"):
        lengths = np.array([len(text or "") for text in sample.columns[name].tolist()], dtype=np.float64)
        yield from _quarters(f"{name} characters", lengths)


def _languages(sample: Sample, most: int) -> Iterator[Facet]:
    for name in sample.of_kind("text"):
        if sample.columns[name].dtype == object:
            yield f"{name} language", np.array([language_of(text) for text in sample.columns[name].tolist()])


def _categories(sample: Sample, most: int) -> Iterator[Facet]:
    for name in sample.of_kind("category", "boolean", "text"):
        column = sample.columns[name]
        if column.ndim == 1 and 1 < len({*column.tolist()}) <= most:
            yield name, _written(column)


def _numbers(sample: Sample, most: int) -> Iterator[Facet]:
    for name in sample.of_kind("number", "integer"):
        column = sample.columns[name]
        if column.ndim == 1 and column.dtype != object:
            yield from _quarters(name, column)


def _quarters(name: str, column: NDArray[Any]) -> Iterator[Facet]:
    """Numbers cut at their quartiles, or each by itself where there are at most six; a null is a value too."""
    known = column[np.isfinite(column)]
    distinct = np.unique(known)
    if len(distinct) + bool(len(known) < len(column)) < 2:
        return
    if len(distinct) <= 6:
        yield name, _written(column)
        return
    edges = np.unique(np.quantile(known, [0.0, 0.25, 0.5, 0.75, 1.0]))
    # As they are written in a name: two edges that look alike are one.
    names = [f"{low:.4g} to {high:.4g}" for low, high in pairwise(edges)]
    part = np.clip(np.searchsorted(edges, column, "left") - 1, 0, len(names) - 1)
    yield name, np.where(np.isfinite(column), np.array(names)[part], "null")


def _written(column: NDArray[Any]) -> NDArray[Any]:
    if column.dtype == object:
        return np.array(["null" if value is None else str(value) for value in column.tolist()])
    return np.array(["null" if value != value else f"{value:g}" for value in column.tolist()])


def _parts(name: str, values: NDArray[np.str_], at_least: int, most: int) -> list[tuple[str, Rows]]:
    found, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    rows = np.split(order, np.cumsum(counts)[:-1]) if len(found) else []
    common = [k for k in np.argsort(-counts, kind="stable")[:most] if counts[k] >= at_least]
    parts = [(str(found[k]), rows[k]) for k in common]
    return [(f"{name}={value}", part) for value, part in sorted(parts, key=lambda part: _rank(name, part[0]))]


def _rank(name: str, value: str) -> tuple[float, str]:
    """Weekdays and numbers in their own order, all else by the alphabet."""
    if name == "weekday":
        return float(_MONDAY_FIRST.index(value)), ""
    head = value.partition(" to ")[0]
    try:
        return float(head), value
    except ValueError:
        return 0.0, value


_FACETS: Mapping[SliceKind, Callable[[Sample, int], Iterator[Facet]]] = {
    "month": _months,
    "hour": _hours,
    "weekday": _weekdays,
    "tag": _tags,
    "length": _lengths,
    "language": _languages,
    "category": _categories,
    "number": _numbers,
}
