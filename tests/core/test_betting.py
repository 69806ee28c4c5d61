from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from roadworthy.core.betting import capital, lower_mean, shows_above, upper_mean


@settings(max_examples=60, deadline=None)
@given(st.lists(st.sampled_from([0.0, 0.3, 1.0]), max_size=60), st.floats(0.05, 0.9), st.floats(0.01, 0.09))
def test_the_capital_falls_as_more_is_claimed(values, mean, more):
    before, after = (capital(values, m, 0.0, 1.0, 0.1) for m in (mean, mean + more))
    assert np.all(after <= before + 1e-9)
    assert np.all(np.isfinite(before))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.floats(-2, 3), min_size=1, max_size=60))
def test_the_bounds_hold_the_values_that_they_come_from(values):
    low, high = lower_mean(values, -2, 3, 0.1), upper_mean(values, -2, 3, 0.1)
    assert -2 <= low <= np.mean(values) + 1e-6
    assert np.mean(values) - 1e-6 <= high <= 3


def test_rows_that_come_later_do_not_change_earlier_bets():
    values = np.random.default_rng(0).random(50)
    assert capital(values, 0.4, 0.0, 1.0, 0.1)[:20] == pytest.approx(capital(values[:20], 0.4, 0.0, 1.0, 0.1))


def test_without_rows_nothing_is_shown():
    assert not shows_above([], 0.1, 0.0, 1.0, 0.5)
    assert (lower_mean([], 0.0, 1.0, 0.1), upper_mean([], 0.0, 1.0, 0.1)) == (0.0, 1.0)


@pytest.mark.parametrize("horizon", [None, 150])
def test_looking_after_every_row_misses_no_oftener_than_stated(horizon):
    rng = np.random.default_rng(1)
    missed = sum(shows_above(rng.random(150) < 0.8, 0.8, 0.0, 1.0, 0.1, horizon) for _ in range(600))
    assert missed <= binom.ppf(0.999, 600, 0.1)


def test_weighted_draws_show_the_mean_of_all_rows_and_not_of_those_drawn():
    rng = np.random.default_rng(2)
    values, chances = np.repeat([1.0, 0.0], 500), np.repeat([1.0, 0.25], 500)
    missed = shown = 0
    for _ in range(300):
        rows = rng.choice(1000, 200, p=chances / chances.sum())
        for mean in (0.5, 0.3):
            found = shows_above((values[rows] - mean) * 0.25 / chances[rows], 0.0, -mean, 1 - mean, 0.1, 200)
            missed, shown = missed + (found and mean == 0.5), shown + (found and mean == 0.3)
    assert missed <= binom.ppf(0.999, 300, 0.1)
    assert shown > 250
    assert values[rows].mean() > 0.7  # unweighted, they would show too much


def test_what_is_bet_on_a_row_does_not_depend_on_it():
    earlier, mean = [0.2, 0.9, 0.4, 0.7], 0.5
    bets = []
    for newest in (0.0, 1.0):
        before, after = capital([*earlier, newest], mean, 0.0, 1.0, 0.1, horizon=1000)[-2:]
        bets.append(np.expm1(after - before) / (newest - mean))
    assert bets[0] == pytest.approx(bets[1])
