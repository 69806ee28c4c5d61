from __future__ import annotations

import numpy as np
import pytest

from roadworthy.evaluate.arrivals.ramp import Ramp


@pytest.mark.parametrize(
    ("ramp", "quarters"),
    [
        (Ramp(), [1, 3, 5, 7]),
        (Ramp(2, 0), [7, 5, 3, 1]),
        (Ramp(1, 1), [4, 4, 4, 4]),
        (Ramp(0.5, 1.5), [2.5, 3.5, 4.5, 5.5]),
    ],
)
def test_the_rate_goes_in_a_straight_line(ramp: Ramp, quarters: list[float]) -> None:
    due = ramp(100, 400, np.random.default_rng(0))
    counts = np.histogram(due, [0, 100, 200, 300, 400])[0]
    assert counts == pytest.approx(np.array(quarters) * 2500, rel=0.06)


@pytest.mark.parametrize(("begin", "end"), [(0.0, 0.0), (-1.0, 2.0)])
def test_a_line_that_makes_no_rate_is_refused(begin: float, end: float) -> None:
    with pytest.raises(ValueError, match="`begin` and `end` are rates of at least 0"):
        Ramp(begin, end)
