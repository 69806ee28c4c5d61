"""The two arms of a rollout side by side: as pairs of one request, or as one stream in time order."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.window import Window


def failed(rows: Window) -> NDArray[np.bool_]:
    """Which rows have no answer, (n,)."""
    if rows.errors is None:
        return np.zeros(rows.n, np.bool_)
    return np.array([error is not None for error in rows.errors], np.bool_)


def requests(rows: Window) -> Window:
    """One row a request: its first. The rows of a request share one arm, so they are no separate evidence.

    Rows follow each other with one `at` and the ids `r.0`, `r.1`, ...; a request fails or answers as a whole.
    """
    if rows.n < 2:
        return rows
    ids = ids_of(rows)
    same = np.zeros(rows.n, np.bool_)
    # Ids are only compared where the times are equal, which is nearly nowhere.
    for k in np.flatnonzero(np.diff(rows.at) == 0) + 1:
        same[k] = _same_request(ids[k - 1], ids[k])
    return rows.take(~same) if same.any() else rows


def pairs(control: Window, candidate: Window) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of the requests that both arms answered (shadow): their places in either, in the candidate's order."""
    known = {id: k for k, id in enumerate(ids_of(control))}
    both = [(known[id], k) for k, id in enumerate(ids_of(candidate)) if id in known]
    places = np.array(both, np.int64).reshape(-1, 2)
    return places[:, 0], places[:, 1]


def shadowed(candidate: Window) -> bool:
    """Whether the candidate only mirrors requests that stable answers."""
    return candidate.arms is not None and candidate.n > 0 and candidate.arms[0] == "shadow"


def merged(control: Window, candidate: Window) -> tuple[NDArray[np.int64], NDArray[np.bool_]]:
    """The order that puts `[*control, *candidate]` in time order, and which rows are then the candidate's."""
    order = np.argsort(np.concatenate([control.at, candidate.at]), kind="stable")
    return order, order >= control.n


def ids_of(rows: Window) -> list[str]:
    """The ids of the rows; none where they have none."""
    return [] if rows.ids is None else rows.ids.tolist()


def _same_request(one: str, other: str) -> bool:
    (stem, dot, row), (other_stem, _, other_row) = one.rpartition("."), other.rpartition(".")
    return bool(dot) and stem == other_stem and row.isdigit() and other_row.isdigit()
