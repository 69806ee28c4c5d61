from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from roadworthy.core.cells import Grid, pack, unpack

NAN = float("nan")
anything = arrays(np.float64, st.integers(1, 60), elements=st.floats(allow_nan=True, allow_infinity=True))


def cell_of(grid: Grid, value: float) -> int:
    """The place of the one cell that holds a value."""
    (place,) = np.flatnonzero(grid.count(np.array([value])).cells)
    return int(place)


@given(anything, anything)
def test_every_value_falls_into_one_cell_or_is_null(reference, current):
    tally = Grid.of(reference).count(current)
    assert tally.nulls == np.isnan(current).sum()
    assert tally.cells.sum() == len(current) - tally.nulls


@given(anything, st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_a_larger_value_is_never_in_a_cell_further_left(reference, one, other):
    grid = Grid.of(reference)
    low, high = sorted((one, other))
    assert cell_of(grid, low) <= cell_of(grid, high)


@pytest.mark.parametrize("bits", [3, 4, 5])
def test_values_lie_between_the_edges_of_their_cell(bits):
    rng = np.random.default_rng(0)
    values = np.exp(2 * rng.normal(size=20_000)) - 3
    grid = Grid.of(values, bits)
    searched = np.bincount(np.searchsorted(grid.edges(), values, side="right"), minlength=len(grid.edges()) + 1)
    # A value within a float32 of an edge may lie on either side of it.
    assert np.abs(searched - grid.count(values).cells).sum() <= 6


def test_cells_are_finer_than_a_thirtieth_of_the_distance_from_the_median():
    grid = Grid.of(np.random.default_rng(0).normal(size=1000))
    edges = grid.distances()
    right = edges[(edges > 0.01) & (edges < 1e9)]
    assert (np.diff(right) / np.maximum(right[1:], 1 / 64)).max() < 1 / 16
    assert (np.diff(right)[right[1:] > 1] / right[1:][right[1:] > 1]).max() < 1 / 30


@pytest.mark.parametrize(
    ("values", "other"),
    [
        (np.arange(2.0**24, 2.0**24 + 40), 2.0**24 + 21),
        (1.7e9 + 86_400.0 * np.arange(30), 1.7e9 + 86_400.0 * 15),
        (np.arange(10**15, 10**15 + 40), 10**15 + 21),
        (1e-300 * np.arange(40), 1e-300 * 21),
        (1e300 * np.arange(40), 1e300 * 21),
    ],
    ids=["beyond 2**24", "dates", "beyond 2**49", "tiny", "huge"],
)
def test_any_scale_is_told_apart(values, other):
    grid = Grid.of(np.asarray(values, float))
    assert len(np.flatnonzero(grid.count(np.asarray(values)).cells)) == len(values)
    assert cell_of(grid, float(other)) not in (cell_of(grid, float(values[19])), cell_of(grid, float(values[23])))


def test_infinite_and_far_values_are_outermost_and_not_null():
    grid = Grid.of(np.arange(100.0))
    last = len(grid.edges())
    assert [cell_of(grid, value) for value in (np.inf, 1e300, -np.inf, -1e300)] == [last, last, 0, 0]
    assert grid.count(np.array([NAN, np.inf])).nulls == 1


def test_an_outlier_moves_no_cell():
    values = np.random.default_rng(0).normal(size=1001)
    spoilt = np.append(values[:-1], 1e6)
    assert Grid.of(spoilt).scale == pytest.approx(Grid.of(values).scale, rel=0.02)
    kept = Grid.of(values)
    assert np.abs(kept.count(spoilt).cells - kept.count(values).cells).sum() == 2


def test_a_constant_keeps_to_one_cell_though_it_is_rounded():
    for constant in (0.0, 0.1, -7.3, 1.7e9, 1e-12):
        grid = Grid.of(np.full(10, constant))
        assert cell_of(grid, constant) == cell_of(grid, float(np.float32(constant)))
        assert cell_of(grid, constant * 1.01 + 1e-6) != cell_of(grid, constant)


def test_both_zeros_are_one_value():
    grid = Grid.of(np.array([-1.0, 0.0, 1.0]))
    assert cell_of(grid, 0.0) == cell_of(grid, -0.0)


def test_rounding_to_float32_moves_few_rows_to_another_cell():
    values = np.round(np.random.default_rng(1).gamma(2, 5, 30_000), 1)
    grid = Grid.of(values)
    assert np.array_equal(grid.count(values).cells, grid.count(values.astype(np.float32)).cells)


def test_columns_of_any_number_type_are_counted_alike():
    values = np.arange(-20, 100)
    grid = Grid.of(values.astype(float))
    expected = grid.count(values.astype(float)).cells
    for dtype in (np.int8, np.int32, np.int64, np.float32, np.float64):
        assert np.array_equal(grid.count(values.astype(dtype)).cells, expected)


def test_sums_are_of_the_distances():
    values = np.array([1.0, 2.0, 3.0, 10.0, NAN])
    grid = Grid.of(values)
    tally = grid.count(values)
    assert grid.centre + tally.total / 4 / grid.scale == pytest.approx(4.0)
    assert np.isfinite(grid.count(np.array([1e308, -1e308, np.inf])).squares)


def test_nothing_known_has_a_grid_too():
    assert Grid.of(np.full(3, NAN)) == Grid()
    assert Grid().count(np.empty(0)).cells.sum() == 0


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=80))
def test_what_is_packed_comes_back(counts):
    assert unpack(pack(np.array(counts, np.int64))).tolist() == counts
