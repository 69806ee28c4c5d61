"""Odd batches: no rows at all, ten thousand at once, the same row many times, and two callers with one id."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.base import Case, edge
from roadworthy.evaluate.hostile.edge_rows import asked, ordinary_row


@edge("odd_batches")
@dataclass(frozen=True)
class OddBatches:
    """No rows, `huge` rows in one request, one row 50 times, and two different rows under the same id.

    The callers with one id must each get the answer to their own row, unless they are refused.
    """

    huge: int = 10_000

    def __post_init__(self) -> None:
        if self.huge < 1:
            raise ValueError(f"`huge` must be at least 1 row, got {self.huge!r}")

    def __call__(self, sample: Sample, rng: np.random.Generator) -> Iterator[Case]:
        if not asked(sample, (), tuple(sample.columns)):
            return
        yield Case("no rows", sample.take(slice(0, 0)), "either")
        yield Case(f"{self.huge} rows", sample.take(rng.integers(0, sample.n, self.huge)), "either")
        yield Case("one row 50 times", ordinary_row(sample, rng).take(np.zeros(50, dtype=np.int64)), "answer")
        pair = sample.take(rng.choice(sample.n, 2, replace=sample.n < 2))
        yield Case("two callers with one id", replace(pair, ids=np.array(["same", "same"], dtype=object)), "either")
