from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.repairs.clip import Clip

LAB = Sample({"x": np.arange(101.0), "y": np.arange(101.0)})


def test_numbers_are_cut_to_what_the_lab_has_seen() -> None:
    wild = Sample({"x": np.array([-5.0, 50, 1e9, np.nan, np.inf])})
    np.testing.assert_array_equal(Clip()(wild, LAB).columns["x"], [0, 50, 100, np.nan, 100])


def test_or_to_its_middle() -> None:
    wild = Sample({"x": np.array([-5.0, 50, 1e9])})
    np.testing.assert_allclose(Clip(share=0.9)(wild, LAB).columns["x"], [5, 50, 95])


def test_only_named_columns_are_cut() -> None:
    wild = Sample({"x": np.array([-5.0]), "y": np.array([-5.0])})
    mended = Clip(("y",))(wild, LAB)
    assert mended.columns["x"] is wild.columns["x"]
    assert mended.columns["y"].tolist() == [0]


def test_what_is_within_the_range_comes_back_as_it_was() -> None:
    fine = Sample({"x": np.array([5.0, np.nan]), "town": np.array(["a", "b"], dtype=object)})
    assert Clip()(fine, LAB) is fine
    assert Clip()(fine, Sample({"x": np.full(3, np.nan)})) is fine


def test_a_share_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="`share` must be above 0"):
        Clip(share=0)
