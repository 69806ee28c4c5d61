from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from roadworthy.serve.cost_line import CostLine

WARM = [(1, 0.725e-3), (8, 1.25e-3), (64, 5.45e-3)]


def true(rows: int) -> float:
    return 0.65e-3 + 75e-6 * rows


def learnt(
    line: CostLine, sizes: Sequence[int], scale: float = 1.0, noise: float = 0.15, batches: int = 300
) -> CostLine:
    rng = np.random.default_rng(0)
    for _ in range(batches):
        rows = int(rng.choice(sizes))
        line.learn(rows, scale * true(rows) * float(rng.lognormal(-(noise**2) / 2, noise)))
    return line


def warm() -> CostLine:
    line = CostLine()
    line.start(WARM)
    return line


def test_a_warm_up_on_a_line_gives_that_line() -> None:
    line = warm()
    assert line.fixed == pytest.approx(0.65e-3, rel=1e-6)
    assert line.per_row == pytest.approx(75e-6, rel=1e-6)
    assert line(200) == pytest.approx(true(200), rel=1e-6)


def test_nothing_learnt_predicts_nothing_and_measures_nothing() -> None:
    line = CostLine()
    assert (line(64), line.n) == (0.0, 0)
    assert [m.n for m in line.measurements()] == [0, 0]


def test_it_finds_the_line_without_a_warm_up() -> None:
    line = learnt(CostLine(), range(1, 65))
    for rows in (8, 32, 64):
        assert line(rows) == pytest.approx(true(rows), rel=0.15)


def test_a_model_that_became_slower_is_followed() -> None:
    line = learnt(warm(), range(1, 65), scale=3.0)
    for rows in (8, 32, 64):
        assert line(rows) == pytest.approx(3 * true(rows), rel=0.2)


def test_a_pause_of_the_machine_hardly_moves_it() -> None:
    line = learnt(warm(), range(1, 65))
    before = line(32)
    line.learn(32, 2.0)
    assert line(32) < 1.1 * before


@pytest.mark.parametrize("sizes", [[1, 2], [64], [30, 31, 32]])
def test_sizes_that_hardly_differ_leave_the_slope_as_it_was(sizes: list[int]) -> None:
    line = learnt(warm(), sizes)
    assert line.per_row == pytest.approx(75e-6, rel=0.35)
    assert line(64) == pytest.approx(true(64), rel=0.3)


@pytest.mark.parametrize("points", [[(1, 2e-3), (64, 1e-3)], [(1, 1e-6), (64, 5e-3)]])
def test_neither_part_is_ever_negative(points: list[tuple[int, float]]) -> None:
    line = CostLine()
    line.start(points)
    for rows, seconds in points * 20:
        line.learn(rows, seconds)
        assert line.fixed >= 0
        assert line.per_row >= 0


def test_the_measurements_hold_the_truth_and_narrow_with_the_spread_of_sizes() -> None:
    wide, narrow = learnt(warm(), range(1, 65)).measurements(), learnt(warm(), [60, 64]).measurements()
    fixed, per_row = wide
    assert (fixed.name, fixed.unit, fixed.n) == ("batch_seconds", "s", 303)
    assert fixed.low <= 0.65e-3 <= fixed.high
    assert per_row.low <= 75e-6 <= per_row.high
    assert per_row.high - per_row.low < narrow[1].high - narrow[1].low


def test_the_spread_is_that_of_the_noise() -> None:
    # The mean absolute deviation of a normal is 0.8 of its standard deviation.
    assert learnt(warm(), range(1, 65), noise=0.2).spread == pytest.approx(0.16, rel=0.5)
    assert learnt(warm(), range(1, 65), noise=0.0).spread < 0.05


def test_a_memory_of_one_batch_is_refused() -> None:
    with pytest.raises(ValueError, match="`memory` must be at least 2 batches, got 1"):
        CostLine(1)
