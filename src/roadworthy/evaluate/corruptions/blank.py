"""Blank: a source is down, and the columns that it feeds arrive as null."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.spoiling import check_share, hit_rows, null_of, put, with_columns


@corruption("blank")
@dataclass(frozen=True)
class Blank:
    """Null in all of `columns` (none named: all there are) on `share` times severity of the rows, drawn as whole rows.

    Missing weather is `{"blank": {"columns": ["temp", "dewp"], "called": "missing weather"}}`.
    """

    columns: tuple[str, ...] = ()
    share: float = 1.0
    called: str = ""

    def __post_init__(self) -> None:
        check_share(self.share)

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = hit_rows(sample, self.share * severity, rng)
        fed = {name: c for name, c in sample.columns.items() if not self.columns or name in self.columns}
        return with_columns(sample, {name: put(column, hit, null_of(column)) for name, column in fed.items()})
