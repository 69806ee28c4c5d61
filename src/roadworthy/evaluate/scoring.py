"""Scoring holds what metrics share: which rows can be scored, and intervals of scores that are no plain average."""

from __future__ import annotations

from typing import Any

import numpy as np
from msgspec.structs import replace
from numpy.typing import NDArray

from roadworthy.core import stats
from roadworthy.core.measure import Measurement

Array = NDArray[Any]
Floats = NDArray[np.float64]


def known(*columns: Array) -> NDArray[np.bool_]:
    """The rows (n,) that every column has a value for: no NaN, in a matrix none in the row, and no None among text."""
    found = np.ones(len(columns[0]), dtype=bool)
    for column in columns:
        found &= _present(column)
    return found


def scored(labels: Array, answers: Array) -> tuple[Array, Array]:
    """Labels and answers of the rows that have both: what cannot be known is left out, never counted as wrong."""
    rows = known(labels, answers)
    return (labels, answers) if rows.all() else (labels[rows], answers[rows])


def are_probabilities(answers: Array) -> bool:
    """Whether all answers lie in [0, 1] and, of several a row, add up to 1 within 1 %: scores and logits do not."""
    if not answers.size:
        return True
    inside = bool(answers.min() >= -1e-6 and answers.max() <= 1 + 1e-6)
    return inside and (answers.ndim == 1 or bool(np.all(np.abs(answers.sum(axis=1) - 1) <= 0.01)))


def no_probabilities(name: str, where: str, unit: str = "1") -> Measurement:
    """What a metric of probabilities says to answers that are none."""
    because = "the answers are no probabilities: they leave [0, 1], or those of a row do not add up to 1"
    return replace(stats.nothing(name, unit, where), conditions={"because": because})


def by_influence(
    name: str, value: float, influence: Floats, where: str = "", unit: str = "1", confidence: float = 0.95
) -> Measurement:
    """A score with a normal interval from what each row pulls it by (n,), which is 0 on average.

    The delta method by the influence function (Hampel 1974): what a bootstrap of many draws comes to, without chance.
    """
    spread = stats.mean(name, influence, where, unit, confidence)
    half = (spread.high - spread.low) / 2
    return replace(spread, value=value, low=value - half, high=value + half)


def mean_share(name: str, shares: Floats, where: str = "", confidence: float = 0.95) -> Measurement:
    """The mean of values in [0, 1]; where all are 0, or all 1, Wilson's interval says how sure that makes us."""
    n = len(shares)
    if not n:
        return stats.nothing(name, where=where)
    hits = float(shares.sum())
    if hits in (0.0, float(n)):
        return stats.proportion(name, int(hits), n, where, confidence)
    found = stats.mean(name, shares, where, confidence=confidence)
    return replace(found, low=max(0.0, found.low), high=min(1.0, found.high))


def chosen(answers: Array, threshold: float = 0.5) -> Floats:
    """The class that each row decides for (n,): the likeliest of several, or 1 from the threshold on."""
    found = answers.argmax(axis=1) if answers.ndim == 2 else answers >= threshold
    return np.asarray(found, dtype=np.float64)


def _present(column: Array) -> NDArray[np.bool_]:
    if column.dtype == object:
        return np.fromiter((value is not None for value in column), bool, len(column))
    absent = np.isnan(column)
    return np.asarray(~(absent.any(axis=1) if column.ndim == 2 else absent))
