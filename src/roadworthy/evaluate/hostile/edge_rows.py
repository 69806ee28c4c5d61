"""One ordinary row with one of its cells changed: what most cases at the edge are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field


def ordinary_row(sample: Sample, rng: np.random.Generator) -> Sample:
    """A row of the sample, drawn at random; the sample must have one."""
    return sample.take(np.array([rng.integers(0, sample.n)]))


def with_value(row: Sample, column: str, value: Any) -> Sample:
    """The row with this value in a column, as it is: text, None, a whole number beyond any machine's, a vector (n,)."""
    return with_column(row, column, one(value))


def with_column(rows: Sample, column: str, values: NDArray[Any]) -> Sample:
    """The rows with other values in a column."""
    return replace(rows, columns={**rows.columns, column: values})


def without_column(rows: Sample, column: str) -> Sample:
    """The rows as a caller sends them who has forgotten a column."""
    return replace(rows, columns={name: values for name, values in rows.columns.items() if name != column})


def field_of(sample: Sample, column: str) -> Field:
    """What the column is, as far as anybody said; else what its values look like."""
    if column in sample.fields:
        return sample.fields[column]
    values = sample.columns[column]
    return Field("text") if values.dtype == object else Field(width=values.shape[1] if values.ndim > 1 else 1)


def asked(sample: Sample, columns: Sequence[str], known: Sequence[str]) -> tuple[str, ...]:
    """Those of the `known` columns that are asked for (none named: all of them); none where there is no row."""
    return tuple(name for name in known if sample.n and (not columns or name in columns))


def is_vector(sample: Sample, column: str) -> bool:
    """Whether a row holds several numbers in this column."""
    return sample.columns[column].ndim > 1


def one(value: Any) -> NDArray[Any]:
    """An array of one row. numpy would make a list of a tuple, and a truncated text of a text."""
    if isinstance(value, np.ndarray):
        return value[None]
    if isinstance(value, float):
        return np.array([value], dtype=np.float64)
    held = np.empty(1, dtype=object)
    held[0] = value
    return held
