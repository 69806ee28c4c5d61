"""Compares two columns row by row: which values are the same, up to rounding, and which are there on one side only."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Mask = NDArray[np.bool_]


@dataclass(frozen=True)
class Compared:
    """Row by row (n,): the values `match`, `differ`, are `missing` from the second or `extra` in it."""

    match: Mask
    differ: Mask
    missing: Mask
    extra: Mask


def compare(first: NDArray[Any], second: NDArray[Any], relative: float, absolute: float) -> Compared:
    """Numbers match when they are `relative` or `absolute` near: a float32 on the way is no difference.

    Two nulls match. Vectors (n, width) match where all of their values do.
    """
    none = [null(first), null(second)]
    there = ~none[0] & ~none[1]
    same = np.zeros(len(first), dtype=bool)
    if first.dtype == object or second.dtype == object:
        same[there] = [a == b for a, b in zip(first[there].tolist(), second[there].tolist(), strict=True)]
    elif first.shape == second.shape:
        near = np.isclose(first[there], second[there], rtol=relative, atol=absolute)
        same[there] = near.all(axis=tuple(range(1, near.ndim)))
    match = same | (none[0] & none[1])
    return Compared(match, there & ~same, ~none[0] & none[1], none[0] & ~none[1])


def null(values: NDArray[Any]) -> Mask:
    """Which rows hold nothing: None, NaN, or a vector with a NaN."""
    if values.dtype == object:
        return np.array([v is None or v != v for v in values.tolist()], dtype=bool)
    return np.asarray(np.isnan(values).any(axis=tuple(range(1, values.ndim))), dtype=bool)


def shown(value: Any) -> str:
    """A value as an example shows it."""
    return f"{value:.6g}" if isinstance(value, float) else repr(value)
