from __future__ import annotations

import numpy as np
import pytest

from roadworthy.evaluate.arrivals.step import Step


def test_each_level_lasts_as_long_and_the_average_is_the_rate() -> None:
    due = Step(levels=(1, 3, 0))(100, 300, np.random.default_rng(0))
    counts = np.histogram(due, [0, 100, 200, 300])[0]
    assert counts[:2] == pytest.approx([7500, 22500], rel=0.05)
    assert counts[2] == 0


@pytest.mark.parametrize("levels", [(), (0.0, 0.0), (1.0, -1.0)])
def test_levels_that_make_no_rate_are_refused(levels: tuple[float, ...]) -> None:
    with pytest.raises(ValueError, match="`levels` are relative rates of at least 0"):
        Step(levels)
