"""Duplicated: a join or a retry hands a row the inputs of another one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.spoiling import check_share, hit_rows, with_columns


@corruption("duplicated")
@dataclass(frozen=True)
class Duplicated:
    """Whole rows replaced by copies of others, drawn at random, on `share` times severity of the rows.

    Their labels stay, so the model is asked about one thing and judged by another: `share` is the most that the
    pipeline could lose this way.
    """

    share: float = 0.5
    called: str = ""

    def __post_init__(self) -> None:
        check_share(self.share)

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        if not sample.n:
            return sample
        hit, others = hit_rows(sample, self.share * severity, rng), rng.integers(0, sample.n, sample.n)
        rows = np.where(hit, others, np.arange(sample.n))
        return with_columns(sample, {name: column[rows] for name, column in sample.columns.items()})
