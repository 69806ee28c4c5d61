from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.stats import binomial_survival
from roadworthy.core.window import Window
from roadworthy.observe.drift.laws import (
    density_ratio,
    effective,
    inputs_given_outcome_moved,
    inputs_moved,
    outcomes_moved,
    rates_moved,
    rows_of_both,
)


def world(n, seed, shift=0.0, slope=1.0):
    """A model that knows the law but for a square, so that it is wrong everywhere a little."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=n) + shift
    y = rng.random(n) < 1 / (1 + np.exp(-(slope * x + 0.15 * x * x - 0.5)))
    columns = {"x": x, "idle": rng.normal(size=n)}
    return Window(columns, {"p": 1 / (1 + np.exp(-(x - 0.4)))}, y.astype(float), np.arange(n, dtype=float))


def rows(reference, current):
    both = rows_of_both(reference, current, "")
    assert both
    return both


def test_inputs_that_moved_do_not_count_as_outcomes_that_did():
    both = rows(world(4000, 0), world(4000, 1, shift=0.7))
    found = outcomes_moved(*both)
    assert found.conditions["p"] > 0.01 or found.value < 0.03
    assert found.conditions["effective"] < 3500


def test_outcomes_that_left_the_model_are_found_with_the_slice_that_shows_it():
    found = outcomes_moved(*rows(world(2000, 0), world(2000, 1, slope=-0.5)))
    assert found.conditions["p"] < 1e-6
    assert found.value > 0.1
    assert found.conditions["most"].startswith(("by x, up to", "by what was stated, up to"))


def test_outcomes_on_one_law_are_beyond_chance_about_as_rarely_as_stated():
    hit = sum(outcomes_moved(*rows(world(800, k), world(800, 400 + k))).conditions["p"] <= 0.05 for k in range(80))
    # The ratio of densities is estimated too, for which the test is not corrected: up to twice as often.
    assert binomial_survival(hit, 80, 0.1) > 1e-4


def test_rates_are_compared_with_an_interval():
    both = rows(world(2000, 0), world(2000, 1, shift=0.5))
    found = rates_moved(*both)
    assert found.where == "label 1"
    assert found.low < both[1].truth.mean() - both[0].truth.mean() < found.high
    assert found.conditions["p"] < 0.01
    assert rates_moved(*rows(world(2000, 0), world(2000, 2))).conditions["p"] > 0.01


def test_within_a_class_inputs_move_with_them_and_not_with_the_mix():
    moved = inputs_given_outcome_moved(*rows(world(2000, 0), world(2000, 1, shift=0.7)))
    assert moved.conditions["p"] < 1e-4
    pool = world(8000, 1)
    kept = np.concatenate([np.flatnonzero(pool.labels == 1)[:1500], np.flatnonzero(pool.labels == 0)[:500]])
    assert inputs_given_outcome_moved(*rows(world(2000, 0), pool.take(kept))).conditions["p"] > 0.01
    few = inputs_given_outcome_moved(*rows(world(20, 0), world(20, 1)))
    assert (few.n, few.conditions["p"]) == (0, 1.0)


def test_the_ratio_of_densities_turns_the_one_law_into_the_other():
    old, new = world(4000, 0), world(4000, 1, shift=0.6)
    weights = density_ratio(old.inputs, new.inputs)
    assert np.average(old.inputs["x"], weights=weights) == pytest.approx(0.6, abs=0.15)
    assert 200 < effective(weights) < 4000
    assert effective(density_ratio(old.inputs, world(4000, 2).inputs)) > 3600
    assert (density_ratio(old.take(slice(0, 10)).inputs, new.inputs) == 1).all()


def test_all_inputs_together_are_one_of_the_tests_on_inputs():
    names = [m.where for m in inputs_moved(world(500, 0), world(500, 1))]
    assert names == ["x", "idle", "all inputs together"]
    assert [m.where for m in inputs_moved(world(20, 0), world(20, 1))] == ["x", "idle"]


def test_answers_of_another_shape_cannot_be_compared():
    old, new = world(100, 0), world(100, 1)
    wide = Window(new.inputs, {"p": np.full((100, 3), 1 / 3)}, new.labels, new.at)
    assert rows_of_both(old, wide, "") is None
    assert rows_of_both(old, Window(new.inputs, {}, new.labels, new.at), "") is None
    assert rows_of_both(wide, wide, "")[0].truth.shape == (100, 3)
