"""Drift: a sensor loses its calibration, a little more from row to row."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.spoiling import numbers, put_numbers, with_columns


@corruption("drift")
@dataclass(frozen=True)
class Drift:
    """`columns` (none named: all numbers) are multiplied by 1 at first and by `factor` ** severity at last.

    Rows are read by their time, or in their order where they have none.
    """

    columns: tuple[str, ...] = ()
    factor: float = 2.0
    called: str = ""

    def __post_init__(self) -> None:
        if self.factor <= 0 or self.factor == 1:
            raise ValueError(f"`factor` must be above 0 and not 1, got {self.factor!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        if severity == 0 or not sample.n:
            return sample
        growing, every = self.factor ** (severity * _age(sample)), np.ones(sample.n, dtype=bool)
        spoilt = {}
        for name in numbers(sample, self.columns):
            column = sample.columns[name]
            moved = column * growing.reshape(-1, *[1] * (column.ndim - 1))
            spoilt[name] = put_numbers(sample, name, every, moved)
        return with_columns(sample, spoilt)


def _age(sample: Sample) -> NDArray[np.float64]:
    """For each row 0 (the first) to 1 (the last)."""
    order = np.arange(sample.n) if sample.at is None else np.argsort(sample.at, kind="stable")
    age = np.empty(sample.n)
    age[order] = np.linspace(0, 1, sample.n)
    return age
