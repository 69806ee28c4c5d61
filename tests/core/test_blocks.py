from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from roadworthy.core.blocks import block_sums, of_totals, student


def ratio(totals: np.ndarray) -> np.ndarray:
    return totals[:, 0] / totals[:, 1]


@pytest.mark.parametrize(("freedom", "tolerance"), [(1, 1e-9), (2, 1e-9), (3, 1e-2), (10, 1e-4), (39, 1e-6)])
def test_students_quantile_is_that_of_scipy(freedom: int, tolerance: float) -> None:
    assert student(0.95, freedom) == pytest.approx(stats.t.ppf(0.975, freedom), rel=tolerance)


def test_rows_of_one_group_are_never_parted_and_nothing_is_lost() -> None:
    rng = np.random.default_rng(1)
    groups = rng.integers(0, 97, 500)
    values = np.stack([np.ones(500), groups == 13], axis=1)
    sums = block_sums(values, groups, rng.random(500))
    assert sums.shape == (40, 2)
    assert sums.sum(axis=0).tolist() == [500, (groups == 13).sum()]
    assert (sums[:, 1] > 0).sum() == 1


def test_blocks_follow_time() -> None:
    sums = block_sums(np.arange(80.0), [str(k) for k in range(80)], np.arange(80.0)[::-1], blocks=4)
    assert sums[:, 0].tolist() == [sum(range(60, 80)), sum(range(40, 60)), sum(range(20, 40)), sum(range(20))]


def test_a_mean_of_dependent_rows_is_covered_as_often_as_it_says() -> None:
    """400 samples of 300 requests of 1 to 9 rows that are alike within a request; +- 4 standard deviations."""
    rng = np.random.default_rng(2)
    covered = 0
    for _ in range(400):
        groups = np.repeat(np.arange(300), rng.integers(1, 10, 300))
        values = rng.normal(size=300)[groups] + 0.3 * rng.normal(size=len(groups))
        sums = block_sums(np.stack([values, np.ones(len(groups))], axis=1), groups, groups)
        found = of_totals("mean", sums, ratio, len(groups))
        covered += found.low <= 0.0 <= found.high
    assert covered / 400 == pytest.approx(0.95, abs=4 * np.sqrt(0.95 * 0.05 / 400))


def test_one_block_bounds_nothing_and_no_rows_are_no_measurement() -> None:
    one = of_totals("mean", np.array([[3.0, 4.0]]), ratio, 4)
    assert (one.value, one.low, one.high) == (0.75, -np.inf, np.inf)
    assert of_totals("mean", np.array([[0.0, 0.0]]), ratio, 0).n == 0
    assert of_totals("mean", np.array([[0.0, 0.0], [0.0, 0.0]]), ratio, 3).n == 0
