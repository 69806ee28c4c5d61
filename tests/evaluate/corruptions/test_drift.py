from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.drift import Drift

RNG = np.random.default_rng(0)


def test_the_first_row_is_right_and_the_last_is_off_by_the_factor() -> None:
    spoilt = Drift(factor=4)(Sample({"x": np.full(5, 10.0)}), 1.0, RNG).columns["x"]
    np.testing.assert_allclose(spoilt, [10, 10 * 2**0.5, 20, 10 * 2**1.5, 40])


def test_severity_is_the_power_of_the_factor() -> None:
    assert Drift(factor=4)(Sample({"x": np.full(5, 10.0)}), 0.5, RNG).columns["x"][-1] == pytest.approx(20)


def test_rows_drift_by_their_time_and_vectors_as_a_whole() -> None:
    sample = Sample({"x": np.ones((3, 2))}, at=np.array([30.0, 10.0, 20.0]))
    spoilt = Drift(factor=9)(sample, 1.0, RNG).columns["x"]
    np.testing.assert_allclose(spoilt, [[9, 9], [1, 1], [3, 3]])


def test_a_factor_that_changes_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="not 1, got 1"):
        Drift(factor=1)
