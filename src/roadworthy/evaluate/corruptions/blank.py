"""Blank: a source is down, and the columns that it feeds arrive as null."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption


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
        if not 0 < self.share <= 1:
            raise ValueError(f"`share` must be above 0 and at most 1, got {self.share!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = rng.random(sample.n) < self.share * severity
        spoilt = dict(sample.columns)
        for name in self.columns or tuple(sample.columns):
            if name in spoilt:
                null: Any = None if spoilt[name].dtype == object else np.nan
                spoilt[name] = np.where(hit, null, spoilt[name])
        return replace(sample, columns=spoilt)
