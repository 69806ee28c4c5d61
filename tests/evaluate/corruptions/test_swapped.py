from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.swapped import Swapped
from roadworthy.testing.corruptions import mixed_sample


def test_two_columns_hold_each_other() -> None:
    sample = Sample({"x": np.array([1.0, 2.0]), "y": np.array([3.0, 4.0])})
    spoilt = Swapped(("x", "y"))(sample, 1.0, np.random.default_rng(0))
    assert spoilt.columns["x"].tolist() == [3, 4]
    assert spoilt.columns["y"].tolist() == [1, 2]


def test_three_columns_go_round() -> None:
    sample = Sample({name: np.array([float(k)]) for k, name in enumerate("abc")})
    spoilt = Swapped(("a", "b", "c"))(sample, 1.0, np.random.default_rng(0))
    assert [float(spoilt.columns[name][0]) for name in "abc"] == [1, 2, 0]


def test_a_row_is_swapped_whole_or_not_at_all() -> None:
    sample = mixed_sample(1000)
    spoilt = Swapped(("heat", "holes"))(sample, 0.5, np.random.default_rng(0)).columns
    moved = spoilt["heat"] != sample.columns["heat"]
    assert 0.4 < moved.mean() < 0.6
    np.testing.assert_array_equal(spoilt["holes"][moved], sample.columns["heat"][moved])
    np.testing.assert_array_equal(spoilt["holes"][~moved], sample.columns["holes"][~moved])


def test_only_columns_that_could_be_mistaken_are_drawn() -> None:
    sample, pairs = mixed_sample(), set()
    for seed in range(30):
        spoilt = Swapped()(sample, 1.0, np.random.default_rng(seed)).columns
        pairs.add(tuple(name for name in sample.columns if spoilt[name] is not sample.columns[name]))
    assert pairs == {("heat", "holes"), ("town", "said")}


def test_numbers_are_not_swapped_for_text() -> None:
    sample = mixed_sample()
    assert Swapped(("heat", "town"))(sample, 1.0, np.random.default_rng(0)) is sample


def test_one_column_alone_cannot_be_swapped() -> None:
    with pytest.raises(ValueError, match="at least two"):
        Swapped(("heat",))
