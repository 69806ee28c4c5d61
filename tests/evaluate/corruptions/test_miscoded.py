from __future__ import annotations

import numpy as np

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.miscoded import Miscoded
from roadworthy.testing.corruptions import mixed_sample


def test_every_category_becomes_one_other_known_one() -> None:
    column = np.array(["a", "b", "c", None] * 50, dtype=object)
    spoilt = Miscoded()(Sample({"town": column}), 1.0, np.random.default_rng(0)).columns["town"]
    table = {(old, new) for old, new in zip(column, spoilt, strict=True)}
    assert len(table) == 4
    assert (None, None) in table
    assert all(old != new for old, new in table if old is not None)
    assert {new for _, new in table} == {"a", "b", "c", None}


def test_severity_is_the_share_of_rows_and_text_is_left_alone() -> None:
    sample = mixed_sample(2000)
    spoilt = Miscoded(share=0.5)(sample, 0.4, np.random.default_rng(0))
    known = np.array([town is not None for town in sample.columns["town"]])
    assert 0.15 < (spoilt.columns["town"] != sample.columns["town"])[known].mean() < 0.25
    assert spoilt.columns["said"] is sample.columns["said"]
