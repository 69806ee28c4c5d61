"""Clip: a number beyond all that the lab has seen becomes the nearest that it has."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import repair
from roadworthy.evaluate.spoiling import numbers, with_columns


@repair("clip")
@dataclass(frozen=True)
class Clip:
    """`columns` (none named: all numbers) are cut to the lab's range, or to its middle `share`; a null stays one.

    It keeps one wild value from deciding an answer alone. It does not make the value right.
    """

    columns: tuple[str, ...] = ()
    share: float = 1.0

    def __post_init__(self) -> None:
        if not 0 < self.share <= 1:
            raise ValueError(f"`share` must be above 0 and at most 1, got {self.share!r}")

    def __call__(self, sample: Sample, lab: Sample) -> Sample:
        mended = {}
        for name in numbers(lab, self.columns):
            known = lab.columns[name][np.isfinite(lab.columns[name])]
            if name in sample.columns and len(known):
                low, high = np.quantile(known, [(1 - self.share) / 2, (1 + self.share) / 2])
                cut = np.clip(sample.columns[name], low, high)
                if ((cut != sample.columns[name]) & ~np.isnan(cut)).any():
                    mended[name] = cut
        return with_columns(sample, mended)

    def plan(self, lab: Sample) -> Mapping[str, Any] | None:
        """What does the same in front of the model, under `preprocessing` of the project file; None where nothing."""
        return None
