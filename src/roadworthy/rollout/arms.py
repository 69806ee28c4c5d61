"""The two arms of a rollout side by side: as pairs of one request, or as one stream in time order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.record import Record


def requests(records: Sequence[Record]) -> list[Record]:
    """One record a request: its first row. The rows of a request share one arm, so they are no separate evidence.

    Rows follow each other with one `at` and the ids `r.0`, `r.1`, ...; a request fails or answers as a whole.
    """
    kept: list[Record] = []
    for record in records:
        if not kept or record.at != kept[-1].at or not _same_request(kept[-1].id, record.id):
            kept.append(record)
    return kept


def pairs(control: Sequence[Record], candidate: Sequence[Record]) -> list[tuple[Record, Record]]:
    """The requests that both arms answered (shadow), in the candidate's order."""
    known = {r.id: r for r in control}
    return [(known[r.id], r) for r in candidate if r.id in known]


def shadowed(candidate: Sequence[Record]) -> bool:
    """Whether the candidate only mirrors requests that stable answers."""
    return bool(candidate) and candidate[0].arm == "shadow"


def merged(control: Sequence[Record], candidate: Sequence[Record]) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The order that puts `[*control, *candidate]` in time order, and which rows are then the candidate's."""
    order = np.argsort(np.array([*(r.at for r in control), *(r.at for r in candidate)]), kind="stable")
    return order, order >= len(control)


def _same_request(one: str, other: str) -> bool:
    (stem, dot, row), (other_stem, _, other_row) = one.rpartition("."), other.rpartition(".")
    return bool(dot) and stem == other_stem and row.isdigit() and other_row.isdigit()
