"""Sentinel: a source writes 99999 where it means that it does not know."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.spoiling import check_share, numbers, put, with_columns


@corruption("sentinel")
@dataclass(frozen=True)
class Sentinel:
    """`value` in `share` times severity of each of `columns` (none named: all numbers), column by column."""

    columns: tuple[str, ...] = ()
    value: float = 99999.0
    share: float = 0.5
    called: str = ""

    def __post_init__(self) -> None:
        check_share(self.share)

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        return with_columns(
            sample,
            {
                name: put(sample.columns[name], rng.random(sample.n) < self.share * severity, self.value)
                for name in numbers(sample, self.columns)
            },
        )
