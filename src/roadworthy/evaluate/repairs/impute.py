"""Impute: a null that the lab never had becomes what is most usual there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import repair
from roadworthy.evaluate.spoiling import is_null, named, put, with_columns


@repair("impute")
@dataclass(frozen=True)
class Impute:
    """Null becomes the lab's median of a number, and its most common category or truth value.

    `columns` none named means all but free text and images, which have no usual value. A column of which more than
    `seldom` of the lab is null stays: there null is normal, and the model knows what to make of it.
    """

    columns: tuple[str, ...] = ()
    seldom: float = 0.01

    def __post_init__(self) -> None:
        if not 0 <= self.seldom <= 1:
            raise ValueError(f"`seldom` must be a share of the lab's rows, from 0 to 1, got {self.seldom!r}")

    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        mended = {}
        for name in self._named(lab):
            usual = self._usual(lab.columns[name])
            if usual is not None and name in sample.columns and is_null(sample.columns[name]).any():
                mended[name] = _filled(sample.columns[name], usual)
        return with_columns(sample, mended)

    def plan(self, lab: Sample) -> Mapping[str, Any] | None:
        """What does the same in front of the model, under `preprocessing` of the project file; None where nothing."""
        return None

    def _named(self, lab: Sample) -> tuple[str, ...]:
        if self.columns:
            return named(lab, self.columns, "number", "integer", "boolean", "category", "text")
        return named(lab, (), "number", "integer", "boolean", "category")

    def _usual(self, column: NDArray[Any]) -> Any:
        """What to write for null: a number, one for each value of a vector, or a category; None where null stays."""
        null = is_null(column)
        if null.all() or null.mean() > self.seldom:
            return None
        if column.dtype == object:
            return Counter(column[~null]).most_common(1)[0][0]
        # Of an even number of rows the lower middle one, so that what should be whole, or true or false, stays so.
        return np.sort(column[~null], axis=0)[(len(column[~null]) - 1) // 2]


def _filled(column: NDArray[Any], usual: Any) -> NDArray[Any]:
    if column.dtype == object:
        return put(column, is_null(column), usual)
    return np.asarray(np.where(np.isnan(column), usual, column))
