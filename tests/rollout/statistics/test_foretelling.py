from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from sklearn.linear_model import LinearRegression

from roadworthy.rollout.statistics.foretelling import FIRST, Design, foretold


def columns(n: int, seed: int = 0) -> tuple[dict[str, NDArray[Any]], NDArray[np.float64]]:
    """A number, a category and noise, and a value that the first two explain two thirds of."""
    rng = np.random.default_rng(seed)
    x, kind = rng.uniform(-1, 1, n), rng.integers(0, 3, n)
    names = np.array(["EWR", "JFK", "LGA"], object)[kind]
    value = 2 * x + np.array([0.0, 1.0, -1.0])[kind] + rng.normal(0, 1.0, n)
    return {"x": x, "origin": names, "noise": rng.normal(size=n)}, value


def left(inputs: dict[str, NDArray[Any]], value: NDArray[np.float64]) -> float:
    told = foretold(Design.of(inputs), value)
    return float((value - told)[FIRST:].var() / value[FIRST:].var())


def test_what_the_inputs_explain_is_foretold_about_as_well_as_by_least_squares() -> None:
    inputs, value = columns(8000)
    numbers = np.column_stack([inputs["x"], *(inputs["origin"] == name for name in ("EWR", "JFK"))])
    best = 1 - LinearRegression().fit(numbers, value).score(numbers, value)
    assert best < left(inputs, value) < 1.05 * best


def test_a_row_is_foretold_from_the_rows_before_it_only() -> None:
    inputs, value = columns(3000)
    later = value.copy()
    later[1500:] += 100
    before, after = foretold(Design.of(inputs), value), foretold(Design.of(inputs), later)
    assert np.array_equal(before[:2000], after[:2000])
    assert abs(after[2000:].mean() - before[2000:].mean()) > 5


def test_what_was_foretold_stays_when_more_rows_come() -> None:
    inputs, value = columns(5000)
    early = {name: column[:1700] for name, column in inputs.items()}
    assert foretold(Design.of(early), value[:1700]) == pytest.approx(foretold(Design.of(inputs), value)[:1700])


def test_nothing_is_foretold_of_the_first_rows_nor_from_columns_that_say_nothing() -> None:
    inputs, value = columns(2000)
    assert not foretold(Design.of(inputs), value)[:FIRST].any()
    assert not foretold(Design.of({}), value).any()
    rng = np.random.default_rng(1)
    dull = {
        "one": np.ones(2000),
        "unknown": np.full(2000, np.nan),
        "ids": np.array([f"id{k}" for k in range(2000)], object),
        "vector": rng.normal(size=(2000, 4)),
        "same": np.full(2000, "a", object),
    }
    assert Design.of(dull).columns == ()


def test_columns_of_noise_cost_next_to_nothing() -> None:
    rng = np.random.default_rng(2)
    assert left({f"x{k}": rng.normal(size=6000) for k in range(16)}, rng.normal(size=6000)) < 1.03


def test_unknown_and_wild_numbers_and_new_categories_do_no_harm() -> None:
    inputs, value = columns(6000)
    calm = left(inputs, value)
    inputs["x"][1000::10], inputs["x"][1001::10] = np.nan, 1e12
    inputs["origin"][1002::10], inputs["origin"][1003::10] = "ZZZ", None
    assert np.isfinite(foretold(Design.of(inputs), value)).all()
    assert calm < left(inputs, value) < 0.8


def test_a_number_of_ones_own_and_several_values_at_once_are_foretold_too() -> None:
    inputs, value = columns(4000)
    close = value + np.random.default_rng(3).normal(0, 0.1, 4000)
    told = foretold(Design.of(inputs, close), value)
    assert (value - told)[FIRST:].std() < 0.2
    both = foretold(Design.of(inputs), np.column_stack([value, -value]))
    assert both.shape == (4000, 2)
    assert both[:, 0] == pytest.approx(-both[:, 1])
