"""Sentinel: a number such as 99999 that stands for "not known" becomes null, which it means."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import repair
from roadworthy.evaluate.spoiling import Mask, numbers, with_columns

# The ends of the integer types, which a failed conversion leaves behind.
_ENDS = (-(2.0**15), 2.0**15 - 1, -(2.0**31), 2.0**31 - 1, -(2.0**63), 2.0**63, 2.0**32 - 1)


@repair("sentinel")
@dataclass(frozen=True)
class Sentinel:
    """Numbers beyond the lab's range that are written like "not known" become null.

    That is -1, at least `nines` nines in a row (999, -9999), the ends of the integer types, infinity, and whatever is
    in `values`. One that the lab holds too is within its range, and stays: the model was trained on it. Follow it by
    `impute` where the model takes no null.
    """

    columns: tuple[str, ...] = ()
    nines: int = 3
    values: tuple[float, ...] = ()

    def __post_init__(self) -> None:
        if self.nines < 2:
            raise ValueError(f"`nines` must be at least 2, for 9 is an ordinary number; got {self.nines!r}")

    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        mended = {}
        for name in numbers(lab, self.columns):
            known = lab.columns[name][np.isfinite(lab.columns[name])]
            if name in sample.columns and len(known):
                column = sample.columns[name]
                hit = self._meant(column) & ((column < known.min()) | (column > known.max()))
                if hit.any():
                    mended[name] = np.asarray(np.where(hit, np.nan, column))
        return with_columns(sample, mended)

    def plan(self, lab: Sample) -> Mapping[str, Any] | None:
        """What does the same in front of the model, under `preprocessing` of the project file; None where nothing."""
        return None

    def _meant(self, column: NDArray[np.float64]) -> Mask:
        """Where a number looks as if it stood for "not known"."""
        odd = np.isin(column, (-1.0, *_ENDS, *self.values)) | np.isinf(column)
        nines = [10.0**digits - 1 for digits in range(self.nines, 16)]
        return np.asarray(odd | np.isin(np.abs(column), nines))
