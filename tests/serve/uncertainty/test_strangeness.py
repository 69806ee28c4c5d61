from __future__ import annotations

from random import Random

import numpy as np
import pytest
from scipy.stats import kstest

from roadworthy.core.errors import BadData
from roadworthy.serve.uncertainty.strangeness import p_values, see_held, some_of

RNG = np.random.default_rng(0)


def test_the_p_value_counts_the_held_out_rows_that_are_at_least_as_strange() -> None:
    held = np.array([1.0, 2.0, 2.0, 3.0])
    np.testing.assert_allclose(p_values(held, np.array([0.0, 2.0, 3.0, 4.0])), [1.0, 4 / 5, 2 / 5, 1 / 5])


def test_like_rows_fall_below_any_level_no_more_often_than_it_says() -> None:
    draws = np.array([p_values(np.sort(RNG.normal(size=99)), RNG.normal(size=1))[0] for _ in range(4000)])
    for level in (0.01, 0.05, 0.1, 0.5):
        assert (draws <= level).mean() < level + 3 * np.sqrt(level / 4000)
    # It is not only valid but also no wider than it must be: uniform on the steps of 1/100.
    assert kstest(draws - RNG.random(4000) / 100, "uniform").pvalue > 1e-3


def test_a_row_without_a_score_has_no_p_value() -> None:
    assert np.isnan(p_values(np.arange(20.0), np.array([np.nan]))[0])


def test_a_score_that_differs_in_the_last_digits_is_the_same() -> None:
    held = np.arange(20.0) / 3
    np.testing.assert_array_equal(p_values(held, held * (1 + 1e-15)), p_values(held, held))


def test_some_rows_are_drawn_and_not_chosen_by_their_scores() -> None:
    scores = np.arange(1000.0)
    kept = some_of(scores, 100, Random(0))
    assert (kept == np.sort(kept)).all()
    assert len(set(kept.tolist())) == 100
    assert kept.mean() == pytest.approx(500, abs=100)
    assert some_of(scores[:50], 100, Random(0)).tolist() == scores[:50].tolist()


@pytest.mark.parametrize(
    ("held", "told"),
    [
        (np.arange(18.0), "needs 19 held-out rows or more, got 18"),
        (np.r_[np.arange(20.0), np.inf], "1 of 21 held-out rows have no finite score"),
        (np.ones(30), "all 30 held-out rows have the score 1"),
    ],
)
def test_held_out_rows_that_tell_nothing_are_refused(held: np.ndarray, told: str) -> None:
    with pytest.raises(BadData, match=told):
        see_held(held)
