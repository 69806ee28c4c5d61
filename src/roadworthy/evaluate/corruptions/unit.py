"""Unit: an upstream service changes the unit of a number without saying so."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.spoiling import check_share, hit_rows, numbers, put_numbers, with_columns


@corruption("unit")
@dataclass(frozen=True)
class Unit:
    """`columns` (none named: all numbers) become `value * scale + offset` on `share` times severity of the rows.

    Fahrenheit sent as Celsius is scale 0.5556, offset -17.78. Text and images are left alone.
    """

    columns: tuple[str, ...] = ()
    scale: float = 1000.0
    offset: float = 0.0
    share: float = 1.0
    called: str = ""

    def __post_init__(self) -> None:
        check_share(self.share)
        if self.scale == 1 and self.offset == 0:
            raise ValueError("`scale` 1 with `offset` 0 changes nothing: give the unit that is sent by mistake")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = hit_rows(sample, self.share * severity, rng)
        return with_columns(
            sample,
            {n: put_numbers(sample, n, hit, self._converted(sample.columns[n])) for n in numbers(sample, self.columns)},
        )

    def _converted(self, column: NDArray[np.float64]) -> NDArray[np.float64]:
        return column * self.scale + self.offset
