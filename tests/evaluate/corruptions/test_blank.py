from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.evaluate.base import corruption
from roadworthy.evaluate.corruptions.blank import Blank
from roadworthy.testing.corruptions import mixed_sample


def test_whole_columns_are_null_at_full_severity() -> None:
    spoilt = Blank(("heat", "town"))(mixed_sample(), 1.0, np.random.default_rng(0))
    assert np.isnan(spoilt.columns["heat"]).all()
    assert all(v is None for v in spoilt.columns["town"])
    assert not np.isnan(spoilt.columns["holes"]).all()


def test_a_source_that_is_down_takes_all_its_columns_with_it() -> None:
    sample = mixed_sample(2000)
    spoilt = Blank(("heat", "town"), share=0.5)(sample, 0.6, np.random.default_rng(0))
    down = np.isnan(spoilt.columns["heat"])
    assert 0.25 < down.mean() < 0.35
    assert all(v is None for v in spoilt.columns["town"][down])
    assert (spoilt.columns["town"][~down] == sample.columns["town"][~down]).all()


def test_a_higher_severity_hits_the_same_rows_and_more() -> None:
    mild, harsh = (Blank(("heat",))(mixed_sample(), s, np.random.default_rng(0)).columns["heat"] for s in (0.3, 0.7))
    assert np.isnan(harsh[np.isnan(mild)]).all()
    assert np.isnan(harsh).sum() > np.isnan(mild).sum()


def test_it_is_made_from_a_plan() -> None:
    assert corruption.make({"blank": {"columns": ["temp", "dewp"]}}) == Blank(("temp", "dewp"))
    with pytest.raises(SpecError, match="`share` must be above 0"):
        corruption.make({"blank": {"share": 0}})
