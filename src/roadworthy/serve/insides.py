"""Lays a model open for whoever explains it, and proves that what was laid open computes what the model answers."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from roadworthy.core.insides import Columns, Insides

if TYPE_CHECKING:
    from numpy.typing import NDArray

# How far a score may lie from the model's own answer: both are sums of float32.
CLOSE = 1e-4


def owners_of(features: Callable[[Columns], NDArray[Any]], rows: Columns) -> tuple[str, ...] | None:
    """The input behind each feature, found by changing one input at a time; None where a feature has two.

    A feature that no change of any input reaches, such as a constant, belongs to the first.
    """
    before = features(rows)
    names = list(rows)
    moved = np.zeros((len(names), before.shape[1]), bool)
    for k, name in enumerate(names):
        for other in _others(rows[name]):
            after = features({**rows, name: other})
            moved[k] |= ~np.all((after == before) | (np.isnan(after) & np.isnan(before)), axis=0)
    if (moved.sum(axis=0) > 1).any():
        return None
    return tuple(names[k] for k in moved.argmax(axis=0))


def _others(column: NDArray[Any]) -> list[NDArray[Any]]:
    """The column with other values: those of the neighbours, and such as no row has."""
    if column.dtype == object:
        return [np.roll(column, 1, axis=0), np.full_like(column, "\x00 no such value")]
    if column.dtype == bool:
        return [~column]
    return [np.roll(column, 1, axis=0), np.nan_to_num(column) + 1, np.nan_to_num(column) * 2 + 100]


def proven(
    insides: Insides, scores: Callable[[NDArray[Any]], NDArray[Any]], rows: Columns, answers: NDArray[Any]
) -> Insides | None:
    """The insides, where their scores on some rows are the model's answers; else None: better none than a wrong one."""
    found = np.asarray(scores(insides.features(rows)), np.float64)
    stated = 1 / (1 + np.exp(-found)) if insides.unit == "logit" else found
    return insides if np.allclose(stated, np.asarray(answers).reshape(-1), rtol=CLOSE, atol=CLOSE) else None
