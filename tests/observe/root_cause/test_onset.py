"""When a rise began, and the slots of a window."""

from __future__ import annotations

import numpy as np
import pytest

from roadworthy.observe.root_cause.onset import onset, series, slots


def test_a_window_of_hours_is_cut_into_minutes_and_a_short_one_into_twenty():
    assert slots(0.0, 3600.0).seconds == 60.0
    assert len(slots(0.0, 3600.0).starts) == 60
    assert len(slots(0.0, 30.0).starts) == 20
    assert slots(0.0, 86_400.0).seconds == 720.0


@pytest.mark.parametrize("begins", [0.0, 600.0, 1500.0, 3300.0])
def test_the_step_is_found_to_the_slot(begins):
    rng = np.random.default_rng(0)
    at = np.sort(rng.uniform(0.0, 3600.0, 4000))
    values = rng.normal(0.0, 1.0, 4000) + np.where(at >= begins, 1.5, 0.0)
    assert onset(values, at, 0.0, slots(0.0, 3600.0)) == pytest.approx(begins, abs=60.0)


def test_a_slot_without_rows_has_no_value():
    points = series("mean", np.array([1.0, 1.0]), np.array([10.0, 3590.0]), slots(0.0, 3600.0))
    assert [p.measured.n for p in points] == [1, *[0] * 58, 1]
    assert points[0].at == 0.0
