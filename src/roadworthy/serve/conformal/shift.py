"""How much likelier a row is where a model serves than where it was calibrated: a logistic likelihood ratio."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from msgspec import Struct, field
from numpy.typing import NDArray

from roadworthy.core.errors import BadData
from roadworthy.core.wire import Request

# Keeps the weights finite where the two tables can be told apart for certain.
_RIDGE = 1.0


class Ratio(Struct, frozen=True, omit_defaults=True):
    """`exp(intercept + sum of coefficient * input)`, which may be off by a factor: only proportions matter.

    A coefficient belongs to a numeric input (`temp`) or to one value of a category (`origin=JFK`). A null counts as
    what `missing` says, or 0.
    """

    intercept: float = 0.0
    coefficients: Mapping[str, float] = field(default_factory=dict)
    missing: Mapping[str, float] = field(default_factory=dict)

    def of(self, request: Request) -> list[float]:
        """The ratio of each row of a request; a value that was never seen adds nothing."""
        logarithms = [self.intercept] * request.n
        for name, tensor in request.inputs.items():
            data: Any = tensor.data
            values = data if type(data) is list else np.asarray(data).reshape(-1).tolist()
            for row in range(len(logarithms)):
                logarithms[row] += self._term(name, values[row])
        return [math.exp(min(one, 700.0)) for one in logarithms]

    def of_columns(self, columns: Mapping[str, NDArray[Any]]) -> NDArray[np.float64]:
        """The ratio of each row of a table."""
        lists = {name: column.tolist() for name, column in columns.items()}
        n = len(next(iter(lists.values()), ()))
        terms = [[self._term(name, value) for value in values] for name, values in lists.items()]
        return np.exp(np.minimum(np.sum(terms, axis=0) + self.intercept if terms else np.zeros(n), 700.0))

    def _term(self, name: str, value: Any) -> float:
        if isinstance(value, str):
            return self.coefficients.get(f"{name}={value}", 0.0)
        slope = self.coefficients.get(name)
        if slope is None:
            return 0.0
        return slope * (self.missing.get(name, 0.0) if value is None or value != value else value)


def fit_ratio(before: Mapping[str, NDArray[Any]], now: Mapping[str, NDArray[Any]], inputs: Sequence[str]) -> Ratio:
    """The ratio that tells rows of `now` from rows of `before`, both tables of columns, by the inputs named.

    Sugiyama, Suzuki & Kanamori 2012: the odds of a logistic regression between the two are the ratio, up to a factor.
    Raises BadData where a table is empty or lacks a column.
    """
    rows = [len(next(iter(table.values()), ())) for table in (before, now)]
    if not all(rows):
        raise BadData(f"a likelihood ratio needs rows of both times, got {rows[0]} of before and {rows[1]} of now")
    lacking = sorted(name for name in inputs if name not in before or name not in now)
    if lacking:
        raise BadData(f"both tables must have the inputs {tuple(inputs)!r}; lacking: {', '.join(lacking)}")
    missing = {name: _mean(before[name]) for name in inputs if before[name].dtype != object}
    names, design, centre, scale = _design(before, now, inputs, missing)
    line = _logistic(design, np.repeat([0.0, 1.0], rows))
    slopes = line[1:] / scale
    intercept = float(line[0] - slopes @ centre) - math.log(rows[1] / rows[0])
    return Ratio(intercept, dict(zip(names, slopes.tolist(), strict=True)), missing)


def _mean(column: NDArray[Any]) -> float:
    known = column[np.isfinite(column.astype(np.float64))]
    return float(known.mean()) if len(known) else 0.0


def _design(
    before: Mapping[str, NDArray[Any]],
    now: Mapping[str, NDArray[Any]],
    inputs: Sequence[str],
    missing: Mapping[str, float],
) -> tuple[list[str], NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """The names of all terms, a column each (the first is 1) of mean 0 and spread 1, and those means and spreads."""
    columns: dict[str, NDArray[np.float64]] = {}
    for name in inputs:
        values = np.concatenate([before[name], now[name]])
        if name in missing:
            numbers = values.astype(np.float64)
            columns[name] = np.where(np.isfinite(numbers), numbers, missing[name])
        else:
            columns.update({f"{name}={one}": (values == one).astype(np.float64) for one in _values_of(values)})
    matrix = np.column_stack(list(columns.values()))
    centre, scale = matrix.mean(axis=0), matrix.std(axis=0)
    scale[scale == 0] = 1.0
    return list(columns), np.column_stack([np.ones(len(matrix)), (matrix - centre) / scale]), centre, scale


def _values_of(values: NDArray[Any]) -> list[str]:
    return sorted({value for value in values.tolist() if isinstance(value, str)})


def _logistic(design: NDArray[np.float64], labels: NDArray[np.float64]) -> NDArray[np.float64]:
    """Newton's method on the ridge-penalised likelihood, halving steps that overshoot."""
    ridge = np.full(design.shape[1], _RIDGE)
    ridge[0] = 0.0
    line = np.zeros(design.shape[1])
    line[0] = math.log(labels.mean() / (1 - labels.mean()))

    def loss(at: NDArray[np.float64]) -> float:
        scores = design @ at
        return float((np.logaddexp(0, scores) - labels * scores).sum() + (ridge * at * at).sum() / 2)

    for _ in range(50):
        p = 0.5 + 0.5 * np.tanh(0.5 * (design @ line))
        slope = design.T @ (p - labels) + ridge * line
        if np.abs(slope).max() < 1e-8 * len(design):
            break
        step = np.linalg.solve((design.T * (p * (1 - p))) @ design + np.diag(ridge + 1e-9), slope)
        before = loss(line)
        line = next((line - step / 2**k for k in range(30) if loss(line - step / 2**k) <= before), line)
    return line
