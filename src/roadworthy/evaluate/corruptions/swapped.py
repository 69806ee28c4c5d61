"""Swapped: columns hold each other's values, because somebody writes them in another order."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.spoiling import check_share, hit_rows, put, with_columns


@corruption("swapped")
@dataclass(frozen=True)
class Swapped:
    """`columns` hold each other's values, the first that of the second and so on round, on share times severity rows.

    Where none is named two are drawn that could be mistaken for each other: both numbers, or both text.
    """

    columns: tuple[str, ...] = ()
    share: float = 1.0
    called: str = ""

    def __post_init__(self) -> None:
        check_share(self.share)
        if len(self.columns) == 1:
            raise ValueError(f"`columns` must name at least two that are exchanged (or none), got {self.columns!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        drawn, hit = _drawn(sample, rng), hit_rows(sample, self.share * severity, rng)
        names = self.columns or drawn
        if any(name not in sample.columns or not _alike(sample, name, names[0]) for name in names):
            return sample
        columns = sample.columns
        return with_columns(
            sample,
            {to: put(columns[to], hit, columns[of]) for to, of in zip(names, names[1:] + names[:1], strict=True)},
        )


def _alike(sample: Sample, one: str, other: str) -> bool:
    columns = sample.columns
    return (
        other in columns and columns[one].dtype == columns[other].dtype and columns[one].shape == columns[other].shape
    )


def _drawn(sample: Sample, rng: np.random.Generator) -> tuple[str, ...]:
    """Two columns of one type and width, out of all such pairs; none where there is no pair."""
    names = sorted(sample.columns)
    pairs = [(a, b) for at, a in enumerate(names) for b in names[at + 1 :] if _alike(sample, a, b)]
    return pairs[rng.integers(len(pairs))] if pairs else ()
