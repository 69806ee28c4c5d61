"""Unseen: a category appears that no training row ever had, such as a new carrier."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption


@corruption("unseen")
@dataclass(frozen=True)
class Unseen:
    """`columns` (none named: all text) hold `value`, never seen before, on `share` times severity of the rows.

    Numbers are left alone.
    """

    columns: tuple[str, ...] = ()
    value: str = "never-seen"
    share: float = 1.0
    called: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"`share` must be above 0 and at most 1, got {self.share!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = rng.random(sample.n) < self.share * severity
        spoilt = dict(sample.columns)
        for name in self.columns or tuple(sample.columns):
            if name in spoilt and spoilt[name].dtype == object:
                spoilt[name] = np.where(hit, self.value, spoilt[name])
        return replace(sample, columns=spoilt)
