"""Slices cuts a sample into the parts that people ask about: the month, and each value of each tag."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.sample import Sample

Rows = NDArray[np.int64]


def slices(sample: Sample, at_least: int = 200, most: int = 50) -> Iterator[tuple[str, Rows]]:
    """Name and row numbers of every slice with `at_least` rows: `month=2013-05` (UTC) in order, then `tag=value`.

    Of one tag only the `most` common values are given: a tag that is an id in disguise is no slice.
    """
    if sample.at is not None:
        months = sample.at.astype("datetime64[s]").astype("datetime64[M]").astype(str)
        yield from sorted(_parts("month", months, at_least, 1200))
    for tag, values in sample.tags.items():
        yield from sorted(_parts(tag, values.astype(str), at_least, most))


def _parts(name: str, values: NDArray[np.str_], at_least: int, most: int) -> list[tuple[str, Rows]]:
    found, group, counts = np.unique(values, return_inverse=True, return_counts=True)
    order = np.argsort(group, kind="stable")
    rows = np.split(order, np.cumsum(counts)[:-1]) if len(found) else []
    common = [k for k in np.argsort(-counts, kind="stable")[:most] if counts[k] >= at_least]
    return [(f"{name}={found[k]}", rows[k]) for k in common]
