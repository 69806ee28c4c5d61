"""The number of each row by its name: `label`, `usd`, `outputs.price`, `tags.basket`, or a product of such."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from roadworthy.core.errors import SpecError
from roadworthy.core.window import Window

_WHOLE = ("label", "usd", "tokens")
_SIDES = ("outputs", "inputs", "tags")


def check_name(name: str) -> None:
    """Raises SpecError where no row could have a number of that name."""
    for part in _factors(name):
        side, dot, column = part.partition(".")
        if part not in _WHOLE and not (side in _SIDES and dot and column):
            raise SpecError(
                f"{part!r} names no number of a row: write `label`, `usd`, `tokens`, `outputs.NAME`, `inputs.NAME`,"
                " `tags.NAME`, or several of them with ` * ` between"
            )


def number(rows: Window, name: str) -> NDArray[np.float64]:
    """The number of every row (n,), NaN where a row has none."""
    found = np.ones(rows.n)
    for part in _factors(name):
        found = found * _column(rows, part)
    return found


def floats(column: NDArray[Any]) -> NDArray[np.float64]:
    """A column as numbers, NaN for what is none (text that says no number, null, a vector)."""
    if column.dtype != object:
        return np.asarray(column, np.float64) if column.ndim == 1 else np.full(len(column), math.nan)
    return np.array([_float(value) for value in column.tolist()], np.float64)


def _factors(name: str) -> list[str]:
    return [part.strip() for part in name.split("*")]


def _column(rows: Window, part: str) -> NDArray[np.float64]:
    whole = {"label": rows.labels, "usd": rows.usd, "tokens": rows.tokens}
    unknown = np.full(rows.n, math.nan)
    if part in whole:
        known = whole[part]
        return unknown if known is None else known
    side, _, column = part.partition(".")
    columns: Mapping[str, NDArray[Any]] = getattr(rows, side)
    return floats(columns[column]) if column in columns else unknown


def _float(value: Any) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        return math.nan
