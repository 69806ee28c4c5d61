from __future__ import annotations

import numpy as np
import pytest

from roadworthy.evaluate.arrivals.constant import Constant


@pytest.mark.parametrize(("rate", "seconds", "n"), [(10, 2, 20), (0.1, 30, 3), (3, 1.5, 5), (1 / 3, 9, 3), (0, 5, 0)])
def test_intervals_are_equal_and_none_is_due_at_the_end(rate: float, seconds: float, n: int) -> None:
    due = Constant()(rate, seconds, np.random.default_rng(0))
    assert due == pytest.approx(np.arange(n) / (rate or 1))
    assert (due < seconds).all()
