"""Null column: one field is dropped by a schema change, and arrives as null."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.spoiling import hit_rows, null_of, put, with_columns


@corruption("null_column")
@dataclass(frozen=True)
class NullColumn:
    """Null in one column, `column` or one drawn at random, on severity of the rows: at 1 the column is gone."""

    column: str = ""
    called: str = ""

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        drawn = str(rng.choice(sorted(sample.columns))) if sample.columns else ""
        hit = hit_rows(sample, severity, rng)
        name = self.column or drawn
        if name not in sample.columns:
            return sample
        column = sample.columns[name]
        return with_columns(sample, {name: put(column, hit, null_of(column))})
