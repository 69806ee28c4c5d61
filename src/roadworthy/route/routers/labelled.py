"""Rows of which both models' answers were judged, and what is refused: too few, of one kind, or not known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from roadworthy.core.errors import BadData
from roadworthy.route.routers.reading import Column

if TYPE_CHECKING:
    from numpy.typing import ArrayLike, NDArray

    from roadworthy.route.traffic.training import TrainingRows

LEAST_ROWS = 100
# Rows of the rarer label of each model, and rows in which the models differ: with fewer nothing can be learnt.
LEAST_OF_A_KIND = 10


@dataclass(frozen=True)
class Labelled:
    """Rows (n,) of which both answers were judged: inputs by column, and 1 where the strong or the weak one was right.

    `segments` and `weights` (how many rows of the traffic one stands for) may be left out. `after` holds what the
    cheap answers showed, by name; NaN where that is not known. `groups` name rows that belong together (requests, near
    duplicates): none of a group is judged by a model that saw another of it.
    """

    columns: Mapping[str, Column]
    strong: ArrayLike
    weak: ArrayLike
    segments: Sequence[str] = ()
    weights: ArrayLike | None = None
    after: Mapping[str, ArrayLike] = field(default_factory=dict)
    groups: Sequence[Any] = ()


def of_training(training: TrainingRows) -> Labelled:
    """Compared rows of recorded traffic, as a router learns from them: columns are the inputs that every row has."""
    names = set.intersection(*(set(row) for row in training.inputs)) if training.inputs else set()
    columns = {name: [row[name] for row in training.inputs] for name in sorted(names)}
    segments = training.segments.tolist() if any(training.segments) else ()
    groups = training.requests.tolist()
    return Labelled(columns, training.strong_right, training.weak_right, segments, training.weights, groups=groups)


def checked(rows: Labelled, tag: str = "") -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The labels and the weights, of mean 1. Raises BadData where nothing can be learnt from the rows."""
    strong, weak = np.asarray(rows.strong, np.float64), np.asarray(rows.weak, np.float64)
    n = len(strong)
    weights = np.ones(n) if rows.weights is None else np.asarray(rows.weights, np.float64)
    sizes = {"weak": len(weak), "weights": len(weights), **{name: len(column) for name, column in rows.columns.items()}}
    sizes |= {"segments": len(rows.segments)} if len(rows.segments) else {}
    sizes |= {"groups": len(rows.groups)} if len(rows.groups) else {}
    if wrong := {name: size for name, size in sizes.items() if size != n}:
        raise BadData(f"a router needs columns of one length: {n} rows of `strong`, but {wrong}")
    if len(rows.segments) and tag in rows.columns:
        raise BadData(f"{tag!r} is both a column and the tag with the segment: give one of them another name")
    if not rows.columns:
        raise BadData("a router needs a column to look at: the text of the prompt, an embedding, numbers or categories")
    for name, labels in (("strong", strong), ("weak", weak)):
        if not np.isin(labels, (0.0, 1.0)).all():
            raise BadData(
                f"`{name}` must be 0 or 1 in every row (1: right); leave out rows whose label is not known yet"
            )
    if not (np.isfinite(weights).all() and (weights > 0).all()):
        raise BadData("`weights` must be finite and above 0: a row that could not be drawn stands for no others")
    if n < LEAST_ROWS:
        raise BadData(f"a router needs at least {LEAST_ROWS} rows with both answers judged, got {n}")
    for name, labels in (("strong", strong), ("weak", weak)):
        rarer = int(min(labels.sum(), n - labels.sum()))
        if rarer < LEAST_OF_A_KIND:
            raise BadData(
                f"`{name}` is nearly always the same: {rarer} of {n} rows have the rarer label, and a router needs "
                f"{LEAST_OF_A_KIND}; judge more rows"
            )
    differ = int((strong != weak).sum())
    if differ < LEAST_OF_A_KIND:
        raise BadData(f"the two models differ in {differ} of {n} rows; a router needs {LEAST_OF_A_KIND} to learn from")
    return strong, weak, weights / weights.mean()
