"""Which columns and which rows of a sample a corruption spoils, and how spoilt values are put in their place."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import nearest
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Kind

Mask = NDArray[np.bool_]


def check_share(share: float) -> None:
    """Raises ValueError unless some rows, and at most all of them, are hit at severity 1."""
    if not 0 < share <= 1:
        raise ValueError(f"`share` must be above 0 and at most 1, got {share!r}")


def check_form(form: str, known: Iterable[str]) -> None:
    """Raises ValueError for a form that a corruption has not."""
    if form not in known:
        raise ValueError(f"`form` must be one of {', '.join(known)}; got {form!r}{nearest(form, known)}")


def named(sample: Sample, wanted: tuple[str, ...], *kinds: Kind) -> tuple[str, ...]:
    """The columns of these kinds that are wanted; all of these kinds where none is wanted by name."""
    return tuple(name for name in sample.of_kind(*kinds) if not wanted or name in wanted)


def numbers(sample: Sample, wanted: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The numeric columns that are wanted (none named: all of them); pixels are no quantities, and left out."""
    return tuple(n for n in named(sample, wanted, "number", "integer") if sample.columns[n].dtype != object)


def categories(sample: Sample, wanted: tuple[str, ...] = ()) -> tuple[str, ...]:
    """The categories that are wanted by name, text among them; none named: all, and text that nobody described."""
    given = named(sample, wanted, "category", "text")
    return tuple(n for n in given if wanted or n not in sample.fields or sample.fields[n].kind == "category")


def hit_rows(sample: Sample, share: float, rng: np.random.Generator) -> Mask:
    """A mask (n,) of about `share` of the rows; a larger share of the same rng hits the same rows and more."""
    return np.asarray(rng.random(sample.n) < share)


def null_of(column: NDArray[Any]) -> Any:
    """What stands for null in a column: None among text, NaN among numbers."""
    return None if column.dtype == object else np.nan


def put(column: NDArray[Any], hit: Mask, values: Any) -> NDArray[Any]:
    """A copy of a column (n,) or (n, width) with `values`, one or as many as there are, on the rows that are hit."""
    mask = hit.reshape(hit.shape + (1,) * (column.ndim - hit.ndim))
    # Without an array of objects around it numpy would make fixed-width text of a string.
    given = np.asarray(values, dtype=object) if column.dtype == object else values
    return np.asarray(np.where(mask, given, column))


def put_numbers(sample: Sample, name: str, hit: Mask, values: NDArray[np.float64]) -> NDArray[Any]:
    """`put` for a numeric column; what should be whole stays whole, as no integer field can carry a fraction."""
    whole = name in sample.fields and sample.fields[name].kind == "integer"
    return put(sample.columns[name], hit, np.rint(values) if whole else values)


def with_columns(sample: Sample, spoilt: Mapping[str, NDArray[Any]]) -> Sample:
    """The sample with some columns replaced, all in their old order."""
    return replace(sample, columns={**sample.columns, **spoilt}) if spoilt else sample


def is_null(column: NDArray[Any]) -> Mask:
    """A mask (n,) of the rows whose value, or any value of whose vector, is null."""
    if column.dtype == object:
        return np.array([value is None or value != value for value in column], dtype=bool)
    return np.asarray(np.isnan(column).any(axis=tuple(range(1, column.ndim))))
