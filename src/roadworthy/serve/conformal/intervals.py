"""From a number and a width to an interval, and what rows of a regression must be like to learn one from."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.floats import floats
from roadworthy.serve.fold import Arrays, output_named

LOW, HIGH = "low", "high"


def number(outputs: Arrays, output: str) -> NDArray[np.float64]:
    """The output as (n,)."""
    given = outputs[output] if output in outputs else output_named(outputs, output, "make an interval of")
    if given.size != len(given):
        raise BadData(f"output {output!r} has shape {given.shape}; allowed: (n,), one number a row")
    return floats(given.reshape(-1), f"the values of output {output!r}")


def per_row(threshold: Any) -> Any:
    """Thresholds as (n,), or the one for all rows."""
    return threshold.reshape(-1) if isinstance(threshold, np.ndarray) else threshold


def with_interval(outputs: Arrays, low: NDArray[np.float64], high: NDArray[np.float64]) -> Arrays:
    """The outputs with `low` and `high`; an interval that shrank through itself becomes its middle."""
    if (low > high).any():
        middle = (low + high) / 2
        low, high = np.where(low > high, middle, low), np.where(low > high, middle, high)
    return {**outputs, LOW: low, HIGH: high}


def check_numbers(labels: ArrayLike, *columns: NDArray[np.float64]) -> None:
    """Raises BadData unless there is a finite label for each row of finite outputs."""
    y = floats(labels, "labels")
    if y.ndim != 1 or not len(y) or any(column.shape != y.shape for column in columns):
        raise BadData(
            f"an interval is learnt from one label for each row, got labels {y.shape}, outputs "
            f"{[column.shape for column in columns]}"
        )
    wrong = ~np.isfinite(np.stack([y, *columns])).all(axis=0)
    if wrong.any():
        raise BadData(
            f"{int(wrong.sum())} of {len(y)} rows hold a label or an output that is NaN or infinite; leave out rows "
            f"whose label is not known yet"
        )
