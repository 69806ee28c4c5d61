"""The two arms of a rollout side by side: as pairs of one request, or as one stream in time order."""

from __future__ import annotations

from itertools import repeat

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.window import Window


def failed(rows: Window) -> NDArray[np.bool_]:
    """Which rows have no answer, (n,)."""
    if rows.errors is None:
        return np.zeros(rows.n, np.bool_)
    return np.asarray(rows.errors != None, np.bool_)  # noqa: E711  one comparison a row, as numpy does it


def without_inputs(rows: Window) -> Window:
    """The rows without what was asked: the widest part of a window, which most gates would copy for nothing."""
    return Window(
        {},
        rows.outputs,
        rows.labels,
        rows.at,
        ids=rows.ids,
        known_at=rows.known_at,
        errors=rows.errors,
        seconds=rows.seconds,
        arms=rows.arms,
    )


def requests(rows: Window) -> Window:
    """One row a request: its first. The rows of a request share one arm, so they are no separate evidence.

    Rows follow each other with one `at` and the ids `r.0`, `r.1`, ...; a request fails or answers as a whole.
    """
    # Ids are only compared where the times are equal, which is nearly nowhere.
    later = np.flatnonzero(np.diff(rows.at) == 0) + 1
    if rows.ids is None or not len(later):
        return rows
    earlier = zip(rows.ids[later - 1].tolist(), rows.ids[later].tolist(), strict=True)
    same = later[np.fromiter((_same_request(one, other) for one, other in earlier), np.bool_, len(later))]
    return rows.take(np.delete(np.arange(rows.n), same)) if len(same) else rows


def pairs(control: Window, candidate: Window) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """The rows of the requests that both arms answered (shadow): their places in either, in the candidate's order."""
    nobody, asked = np.zeros(0, np.int64), ids_of(control)
    # A canary shares no request with stable, which a set finds out several times faster than a table of places.
    if set(ids_of(candidate)).isdisjoint(asked):
        return nobody, nobody
    known = dict(zip(asked, range(control.n), strict=True))
    places = np.fromiter(map(known.get, ids_of(candidate), repeat(-1)), np.int64, candidate.n)
    both = np.flatnonzero(places >= 0)
    return places[both], both


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
    """Whether two ids are those of two rows of one request: `r.0` and `r.1`."""
    stem, dot, row = other.rpartition(".")
    if not dot or not row.isdigit() or not one.startswith(stem + dot):
        return False
    return one[len(stem) + 1 :].isdigit()
