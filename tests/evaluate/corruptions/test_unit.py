from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.unit import Unit
from roadworthy.testing.corruptions import mixed_sample

RNG = np.random.default_rng(0)


def test_fahrenheit_arrives_as_celsius() -> None:
    sample = Sample({"temp": np.array([32.0, 212.0, np.nan])})
    spoilt = Unit(("temp",), scale=5 / 9, offset=-160 / 9)(sample, 1.0, RNG)
    np.testing.assert_allclose(spoilt.columns["temp"], [0.0, 100.0, np.nan], atol=1e-9)


def test_text_is_left_alone() -> None:
    sample = mixed_sample()
    assert (Unit()(sample, 1.0, RNG).columns["town"] == sample.columns["town"]).all()


def test_only_a_share_of_the_rows_is_hit() -> None:
    sample = mixed_sample(2000)
    hit = Unit(("heat",), share=0.4)(sample, 0.5, RNG).columns["heat"] != sample.columns["heat"]
    assert 0.15 < hit.mean() < 0.25


def test_a_unit_that_changes_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="changes nothing"):
        Unit(scale=1)
