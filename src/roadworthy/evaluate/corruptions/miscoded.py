"""Miscoded: a row arrives with another of the known categories, as when a code table is out of step."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.spoiling import categories, check_share, hit_rows, put, with_columns


@corruption("miscoded")
@dataclass(frozen=True)
class Miscoded:
    """Categories of `columns` (none named: all) exchanged for each other on `share` times severity of the rows.

    Each category becomes one fixed other one of its column, by a table that is drawn; a null stays one. A reader who
    checks for unknown values sees nothing.
    """

    columns: tuple[str, ...] = ()
    share: float = 1.0
    called: str = ""

    def __post_init__(self) -> None:
        check_share(self.share)

    def __call__(self, sample: Sample, severity: float, rng: np.random.Generator) -> Sample:
        hit = hit_rows(sample, self.share * severity, rng)
        spoilt = {}
        for name in categories(sample, self.columns):
            column = sample.columns[name]
            table = _exchange(column, rng)
            spoilt[name] = put(column, hit, [table.get(value, value) for value in column])
        return with_columns(sample, spoilt)


def _exchange(column: NDArray[Any], rng: np.random.Generator) -> dict[str, str]:
    """Each value with another one: the values in a drawn order, each becoming the next."""
    known = sorted({value for value in column if isinstance(value, str)})
    drawn = [known[place] for place in rng.permutation(len(known))]
    return dict(zip(drawn, drawn[1:] + drawn[:1], strict=True))
