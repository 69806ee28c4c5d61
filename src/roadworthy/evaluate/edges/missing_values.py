"""Missing values: a column is null, all of them are, or the caller has left one out."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import Case, edge
from roadworthy.evaluate.hostile.edge_rows import asked, field_of, ordinary_row, with_column, without_column


@edge("missing_values")
@dataclass(frozen=True)
class MissingValues:
    """Each column null in turn, each left out in turn, and a row of nothing but nulls.

    A null is to be answered in a nullable field; a column that was left out is to be refused.
    """

    columns: tuple[str, ...] = ()

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Iterator[Case]:
        names = asked(sample, self.columns, tuple(sample.columns))
        if not names:
            return
        row = ordinary_row(sample, rng)
        for name in names:
            nullable = field_of(sample, name).nullable
            nulled = with_column(row, name, _null(row.columns[name]))
            yield Case(f"{name}: null", nulled, "answer" if nullable else "either")
            yield Case(f"{name}: left out", without_column(row, name), "refuse")
        nulls = {name: _null(values) for name, values in row.columns.items()}
        whole = all(field_of(sample, name).nullable for name in nulls)
        yield Case("nothing but nulls", replace(row, columns=nulls), "answer" if whole else "either")


def _null(values: NDArray[Any]) -> NDArray[Any]:
    return np.full(values.shape, None if values.dtype == object else math.nan, dtype=values.dtype)
