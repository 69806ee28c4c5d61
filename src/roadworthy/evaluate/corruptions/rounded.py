"""Rounded: numbers arrive with fewer digits than the model was trained on."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.spoiling import check_form, check_share, hit_rows, numbers, put_numbers, with_columns


@corruption("rounded")
@dataclass(frozen=True)
class Rounded:
    """`columns` (none named: all numbers) keep `digits` significant digits on `share` times severity of the rows.

    "cut" leaves the other digits out, towards zero, as a fixed-width field does.
    """

    columns: tuple[str, ...] = ()
    digits: int = 1
    form: Literal["nearest", "cut"] = "nearest"
    share: float = 1.0
    called: str = ""

    def __post_init__(self) -> None:
        check_share(self.share)
        check_form(self.form, ("nearest", "cut"))
        if self.digits < 1:
            raise ValueError(f"`digits` must be at least 1, got {self.digits!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = hit_rows(sample, self.share * severity, rng)
        return with_columns(
            sample,
            {n: put_numbers(sample, n, hit, self._short(sample.columns[n])) for n in numbers(sample, self.columns)},
        )

    def _short(self, column: NDArray[np.float64]) -> NDArray[np.float64]:
        size = np.abs(column)
        known = np.isfinite(size) & (size > 0)
        step = 10.0 ** (np.floor(np.log10(np.where(known, size, 1.0))) - self.digits + 1)
        cut = np.rint if self.form == "nearest" else np.trunc
        return np.asarray(np.where(known, cut(column / step) * step, column))
