from __future__ import annotations

import numpy as np

from roadworthy.evaluate.corruptions.unseen import Unseen
from roadworthy.testing.corruptions import mixed_sample


def test_a_category_never_seen_takes_the_place_of_the_known_ones() -> None:
    sample = mixed_sample()
    spoilt = Unseen(("town",), value="west")(sample, 1.0, np.random.default_rng(0))
    assert set(spoilt.columns["town"]) == {"west"}
    assert spoilt.columns["town"].dtype == object


def test_half_the_severity_hits_about_half_the_rows() -> None:
    spoilt = Unseen()(mixed_sample(2000), 0.5, np.random.default_rng(0))
    assert 0.45 < (spoilt.columns["town"] == "never-seen").mean() < 0.55


def test_numbers_are_left_alone() -> None:
    sample = mixed_sample()
    assert Unseen(("heat",))(sample, 1.0, np.random.default_rng(0)).columns["heat"] is sample.columns["heat"]
