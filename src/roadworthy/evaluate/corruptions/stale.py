"""Stale: a feed hangs, and rows arrive with the values of some hours ago."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption


@corruption("stale")
@dataclass(frozen=True)
class Stale:
    """`columns` (none named: all) hold what the sample showed `hours` times severity earlier, as of that time.

    Where `by` names a tag or a column (the airport, say), a row only sees earlier rows with its own value of it. A row
    with nothing so early keeps what it has, and a sample without times comes back unchanged.
    """

    columns: tuple[str, ...] = ()
    hours: float = 6.0
    by: str = ""
    called: str = ""

    def __post_init__(self) -> None:
        if self.hours <= 0:
            raise ValueError(f"`hours` must be above 0, got {self.hours!r}")

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        if severity == 0 or sample.at is None:
            return sample
        seen = self._seen(sample, sample.at, 3600 * self.hours * severity)
        names = [n for n in self.columns or tuple(sample.columns) if n in sample.columns and n != self.by]
        return replace(sample, columns={**sample.columns, **{n: sample.columns[n][seen] for n in names}})

    def _seen(self, sample: Sample, at: NDArray[np.float64], seconds: float) -> NDArray[np.int64]:
        """For each row the number of the last row of its group that is at least `seconds` older, or its own."""
        seen = np.arange(sample.n)
        for rows in _groups(sample, self.by):
            ordered = rows[np.argsort(at[rows], kind="stable")]
            upto = np.searchsorted(at[ordered], at[rows] - seconds, side="right")
            seen[rows] = np.where(upto > 0, ordered[np.maximum(upto - 1, 0)], rows)
        return seen


def _groups(sample: Sample, by: str) -> list[NDArray[np.int64]]:
    keys: NDArray[Any] | None = sample.tags.get(by, sample.columns.get(by))
    if keys is None:
        return [np.arange(sample.n)]
    _, group = np.unique(keys.astype(str), return_inverse=True)
    order = np.argsort(group, kind="stable")
    return [part for part in np.split(order, np.cumsum(np.bincount(group))[:-1]) if len(part)]
