from __future__ import annotations

import numpy as np

from roadworthy.evaluate.corruptions.null_column import NullColumn
from roadworthy.evaluate.spoiling import is_null
from roadworthy.testing.corruptions import mixed_sample


def nulls(column: np.ndarray) -> np.ndarray:
    return is_null(column)


def test_the_given_column_is_gone() -> None:
    sample = mixed_sample()
    spoilt = NullColumn("town")(sample, 1.0, np.random.default_rng(0))
    assert nulls(spoilt.columns["town"]).all()
    assert spoilt.columns["heat"] is sample.columns["heat"]


def test_without_a_name_exactly_one_column_is_drawn() -> None:
    gone = set()
    for seed in range(40):
        spoilt = NullColumn()(mixed_sample(), 1.0, np.random.default_rng(seed))
        empty = [name for name, column in spoilt.columns.items() if nulls(column).all()]
        assert len(empty) == 1
        gone.add(empty[0])
    assert gone == {"heat", "holes", "town", "said", "seen"}


def test_two_severities_of_one_seed_draw_the_same_column() -> None:
    for severity in (0.5, 1.0):
        spoilt = NullColumn()(mixed_sample(), severity, np.random.default_rng(1))
        assert (
            nulls(spoilt.columns["heat"]).any()
            == nulls(NullColumn()(mixed_sample(), 1.0, np.random.default_rng(1)).columns["heat"]).any()
        )
