"""Unit: an upstream service changes the unit of a number without saying so."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption


@corruption("unit")
@dataclass(frozen=True)
class Unit:
    """`columns` (none named: all numbers) become `value * scale + offset` on `share` times severity of the rows.

    Fahrenheit sent as Celsius is scale 0.5556, offset -17.78. Text is left alone.
    """

    columns: tuple[str, ...] = ()
    scale: float = 1000.0
    offset: float = 0.0
    share: float = 1.0
    called: str = ""

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"`share` must be above 0 and at most 1, got {self.share!r}")
        if self.scale == 1 and self.offset == 0:
            raise ValueError("`scale` 1 with `offset` 0 changes nothing: give the unit that is sent by mistake")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = rng.random(sample.n) < self.share * severity
        spoilt = dict(sample.columns)
        for name in self.columns or tuple(sample.columns):
            if name in spoilt and spoilt[name].dtype != object:
                spoilt[name] = np.where(hit, spoilt[name] * self.scale + self.offset, spoilt[name])
        return replace(sample, columns=spoilt)
