from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.stats import binomial_survival
from roadworthy.observe.quality.confidence_sequences import drifting_bounds, sampled_bounds


def population(rng, n=600):
    """Rows that drift: what was foretold becomes wrong half way through."""
    guesses = rng.beta(4, 2, n)
    values = (rng.random(n) < np.where(np.arange(n) < n // 2, guesses, 0.5 * guesses)).astype(float)
    return values, guesses


@pytest.mark.parametrize("helped", [True, False])
def test_sampled_bounds_hold_the_mean_of_the_rows_at_every_look(helped):
    rng, draws, missed = np.random.default_rng(0), 120, 0
    for _ in range(draws):
        values, guesses = population(rng)
        order = rng.permutation(len(values))[:80]
        hints = (guesses[order], guesses) if helped else (None, None)
        bounds = sampled_bounds(values[order], len(values), 0.1, *hints)
        missed += bool(((bounds.low > values.mean()) | (bounds.high < values.mean())).any())
    assert binomial_survival(missed, draws, 0.1) > 1e-4
    assert missed > 0  # they are not so wide that they say nothing


def test_an_interval_meant_for_one_look_does_not_hold_at_all_of_them():
    rng, missed = np.random.default_rng(0), 0
    for _ in range(100):
        values, _ = population(rng)
        drawn = values[rng.permutation(len(values))[:80]]
        t = np.arange(1, 81)
        share = np.cumsum(drawn) / t
        half = np.where(t < 20, 1.0, 1.645 * np.sqrt(share * (1 - share) / t))
        missed += bool((np.abs(share - values.mean()) > half).any())
    assert missed > 20


def test_good_guesses_make_the_bounds_narrower_and_bad_ones_hardly_wider():
    rng = np.random.default_rng(1)
    values = (rng.random(1000) < 0.5).astype(float)
    order = rng.permutation(1000)[:200]

    def width(guesses):
        bounds = sampled_bounds(values[order], 1000, 0.05, guesses[order], guesses)
        return bounds.high[-1] - bounds.low[-1]

    alone = width(np.full(1000, 0.5))
    assert width(0.8 * values + 0.1) < 0.6 * alone
    assert width(0.8 * (1 - values) + 0.1) < 1.2 * alone


def test_bounds_only_narrow_and_end_at_the_truth_when_every_row_is_drawn():
    rng = np.random.default_rng(2)
    values, guesses = population(rng, 300)
    order = rng.permutation(300)
    bounds = sampled_bounds(values[order], 300, 0.05, guesses[order], guesses)
    assert (np.diff(bounds.low) >= 0).all()
    assert (np.diff(bounds.high) <= 0).all()
    assert bounds.low[-1] == pytest.approx(values.mean())
    assert bounds.high[-1] == pytest.approx(values.mean())
    assert ((bounds.low <= bounds.value) & (bounds.value <= bounds.high)).all()


def test_wider_for_a_smaller_alpha_and_narrower_for_a_larger_part_of_the_rows():
    rng = np.random.default_rng(3)
    values = (rng.random(100) < 0.7).astype(float)

    def width(population, alpha):
        bounds = sampled_bounds(values, population, alpha)
        return bounds.high[-1] - bounds.low[-1]

    assert width(10_000, 0.01) > width(10_000, 0.05) > width(200, 0.05)


def test_all_alike_is_settled_about_as_fast_as_by_the_rule_of_three():
    bounds = sampled_bounds(np.ones(100), 100_000, 0.05)
    assert bounds.high[-1] == 1.0
    assert 0.9 < bounds.low[-1] < 0.97  # 1 - 3/100 is the bound of one look, one-sided


def test_nothing_drawn_gives_no_bounds():
    assert len(sampled_bounds(np.empty(0), 100, 0.05).low) == 0
    assert len(drifting_bounds(np.empty(0), 0.05, 1.0, 1.0).low) == 0


def test_drifting_bounds_hold_the_running_average_of_a_stream_whose_mean_moves():
    rng, draws, missed = np.random.default_rng(4), 50, 0
    mean = np.concatenate([np.full(300, 0.1), np.full(300, -0.3)])
    truth = np.cumsum(mean) / np.arange(1, 601)
    for _ in range(draws):
        values = np.clip(mean + rng.choice([-0.5, 0.5], 600), -1, 1)
        bounds = drifting_bounds(values, 0.1, 1.0, 150.0)
        missed += bool(((bounds.low > truth) | (bounds.high < truth)).any())
    assert binomial_survival(missed, draws, 0.1) > 1e-4


def test_drifting_bounds_shrink_with_the_square_root_of_the_rows():
    values = np.tile([0.5, -0.5], 5000)
    half = drifting_bounds(values, 0.05, 1.0, 2500.0).high
    fixed = 1.96 * 0.5 / np.sqrt(len(values))
    assert fixed < half[-1] < 2.2 * fixed
