"""Unseen: a category appears that no training row ever had, such as a new carrier."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.spoiling import categories, check_share, hit_rows, put, with_columns


@corruption("unseen")
@dataclass(frozen=True)
class Unseen:
    """`columns` (none named: all categories) hold `value`, never seen before, on `share` times severity of the rows.

    Numbers and free text are left alone.
    """

    columns: tuple[str, ...] = ()
    value: str = "never-seen"
    share: float = 1.0
    called: str = ""

    def __post_init__(self) -> None:
        check_share(self.share)

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = hit_rows(sample, self.share * severity, rng)
        named = categories(sample, self.columns)
        return with_columns(sample, {name: put(sample.columns[name], hit, self.value) for name in named})
