"""Sign flip: credit and debit, east and west or gain and loss are taken for each other."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.spoiling import check_share, hit_rows, numbers, put, with_columns


@corruption("sign_flip")
@dataclass(frozen=True)
class SignFlip:
    """`columns` (none named: all numbers) arrive with the other sign on `share` times severity of the rows."""

    columns: tuple[str, ...] = ()
    share: float = 1.0
    called: str = ""

    def __post_init__(self) -> None:
        check_share(self.share)

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = hit_rows(sample, self.share * severity, rng)
        named = numbers(sample, self.columns)
        return with_columns(sample, {name: put(sample.columns[name], hit, -sample.columns[name]) for name in named})
