"""Noise: a sensor, a rounding or a privacy filter adds chance to numbers."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.spoiling import check_share, hit_rows, numbers, put_numbers, with_columns


@corruption("noise")
@dataclass(frozen=True)
class Noise:
    """Gaussian noise on `columns` (none named: all numbers), on `share` of the rows; integers stay whole.

    Its deviation is `strength` times severity, in deviations of the column, or of the value where `relative`.
    """

    columns: tuple[str, ...] = ()
    strength: float = 0.5
    relative: bool = False
    share: float = 1.0
    called: str = ""

    def __post_init__(self) -> None:
        check_share(self.share)
        if self.strength <= 0:
            raise ValueError(f"`strength` must be above 0, got {self.strength!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        if severity == 0 or not sample.n:
            return sample
        hit = hit_rows(sample, self.share, rng)
        spoilt = {}
        for name in numbers(sample, self.columns):
            column = sample.columns[name]
            moved = column + self.strength * severity * self._scale(column) * rng.standard_normal(column.shape)
            spoilt[name] = put_numbers(sample, name, hit, moved)
        return with_columns(sample, spoilt)

    def _scale(self, column: NDArray[np.float64]) -> NDArray[np.float64]:
        if self.relative:
            return np.abs(column)
        known = column[np.isfinite(column)]
        return np.asarray(known.std() if len(known) else 0.0)
