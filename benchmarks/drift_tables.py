"""The tables of the drift benchmark: 15 columns of numbers and 5 of categories, made by numpy alone."""

from __future__ import annotations

from typing import Any

import numpy as np

SIZES = (50, 100, 300, 1_000, 5_000)
REFERENCE_ROWS = 2_000


def big_table(rng: np.random.Generator, n: int) -> dict[str, np.ndarray[Any, Any]]:
    """What is timed: normal, lognormal and rounded numbers, and categories of 5 to 1,280 values."""
    table = {}
    for k in range(15):
        values = rng.normal(size=n)
        table[f"number_{k}"] = (values, np.exp((1 + k / 10) * values), np.round(10 * values))[k % 3]
    for k in range(5):
        names = np.array([f"value {j}" for j in range(5 * 4**k)], object)
        table[f"category_{k}"] = names[rng.integers(0, len(names), n)]
    return table


def small_table(rng: np.random.Generator, n: int) -> dict[str, np.ndarray[Any, Any]]:
    """What false alarms are counted on: heavy tails, ties, rare flags, holes, two humps, skewed and many categories."""
    table: dict[str, np.ndarray[Any, Any]] = {f"normal_{k}": rng.normal(size=n) for k in range(3)}
    table |= {f"lognormal_{k}": np.exp(2 * rng.normal(size=n)) for k in range(3)}
    table |= {f"count_{k}": rng.poisson(3, n).astype(float) for k in range(2)}
    table |= {f"identifier_{k}": rng.integers(0, 10**9, n).astype(float) for k in range(2)}
    table["flag"] = (rng.random(n) < 0.03).astype(float)
    table["rain"] = np.where(rng.random(n) < 0.9, 0.0, rng.exponential(size=n))
    table["holes"] = np.where(rng.random(n) < 0.05, np.nan, rng.normal(size=n))
    table["cauchy"] = rng.standard_cauchy(n)
    table["humps"] = rng.normal(size=n) + 5 * (rng.random(n) < 0.5)
    for k, many in enumerate((3, 10, 50, 300, 3_000)):
        place = rng.zipf(1.5, n) % many if k % 2 else rng.integers(0, many, n)
        names = np.array([*(f"v{j}" for j in range(many)), None], object)
        table[f"category_{k}"] = names[np.where(rng.random(n) < 0.01, many, place)]
    return table


def planted(values: np.ndarray[Any, Any], value: float = 1e6) -> np.ndarray[Any, Any]:
    """The same values, but for one."""
    return np.concatenate([[value], values[1:]])
