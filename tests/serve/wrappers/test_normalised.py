"""Intervals as wide as the row is hard."""

from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.serve.conformal.fitting import fit
from roadworthy.serve.wrappers.normalised import Normalised

RNG = np.random.default_rng(0)
SPREAD = RNG.random(200) + 0.1
F, Y = np.zeros(200), RNG.normal(size=200) * SPREAD


def test_the_threshold_is_a_multiple_of_the_expected_error():
    fitted = fit(Normalised(), Y, {"prediction": F, "spread": SPREAD}, 0.9)
    assert fitted.threshold == np.sort(np.abs(Y) / SPREAD)[180]
    found = fitted.on_outputs({"prediction": F[:2], "spread": np.array([1.0, 3.0])})
    assert (found["high"] - found["low"]).tolist() == pytest.approx([2 * fitted.threshold, 6 * fitted.threshold])


def test_an_expected_error_of_nothing_counts_as_the_least():
    found = Normalised(2.0, least_spread=0.25).on_outputs({"prediction": np.ones(1), "spread": np.zeros(1)})
    assert (found["low"][0], found["high"][0]) == (0.5, 1.5)


def test_a_negative_expected_error_is_refused():
    with pytest.raises(BadData, match=r"'spread' is an expected error and 0 at least, got -0\.5"):
        fit(Normalised(), Y, {"prediction": F, "spread": np.where(np.arange(200) == 7, -0.5, SPREAD)}, 0.9)
    with pytest.raises(ValueError, match="`least_spread` must be above 0, got 0"):
        Normalised(least_spread=0.0)
