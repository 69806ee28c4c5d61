from __future__ import annotations

import numpy as np
import pytest

from roadworthy.evaluate.corruptions.duplicated import Duplicated
from roadworthy.testing.corruptions import mixed_sample


def test_a_row_that_is_hit_is_a_copy_of_another_in_all_columns() -> None:
    sample = mixed_sample(500)
    spoilt = Duplicated()(sample, 1.0, np.random.default_rng(0))
    row_of = {heat: row for row, heat in enumerate(sample.columns["heat"])}
    source = np.array([row_of[heat] for heat in spoilt.columns["heat"]])
    assert (source != np.arange(500)).mean() == pytest.approx(0.5, abs=0.07)
    assert len(set(source[source != np.arange(500)])) > 150
    for name, column in sample.columns.items():
        np.testing.assert_array_equal(spoilt.columns[name], column[source])
    assert spoilt.labels is sample.labels
