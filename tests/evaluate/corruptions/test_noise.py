from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.corruptions.noise import Noise
from roadworthy.testing.corruptions import mixed_sample


def moved(made: Noise, column: np.ndarray, severity: float = 1.0) -> np.ndarray:
    return made(Sample({"x": column}), severity, np.random.default_rng(0)).columns["x"] - column


def test_noise_is_measured_in_deviations_of_the_column() -> None:
    column = np.random.default_rng(1).normal(1000, 7, 20_000)
    assert moved(Noise(strength=0.5), column, 0.4).std() == pytest.approx(7 * 0.2, rel=0.03)


def test_relative_noise_grows_with_the_value() -> None:
    column = np.repeat([0.0, 1.0, 100.0], 5000)
    found = moved(Noise(strength=0.1, relative=True), column)
    assert not found[column == 0].any()
    assert found[column == 100].std() == pytest.approx(10, rel=0.05)


def test_integers_stay_whole_and_nulls_stay_null() -> None:
    sample = Sample({"n": np.array([1.0, np.nan, 900.0])}, fields={"n": Field("integer", nullable=True)})
    spoilt = Noise()(sample, 1.0, np.random.default_rng(0)).columns["n"]
    assert np.isnan(spoilt).tolist() == [False, True, False]
    assert (spoilt[[0, 2]] == np.rint(spoilt[[0, 2]])).all()
    assert spoilt[0] != 1


def test_only_a_share_of_the_rows_is_touched() -> None:
    column = np.random.default_rng(1).normal(0, 1, 5000)
    assert (moved(Noise(share=0.25), column) != 0).mean() == pytest.approx(0.25, abs=0.03)


def test_images_are_left_to_the_noise_of_images() -> None:
    sample = mixed_sample()
    assert Noise()(sample, 1.0, np.random.default_rng(0)).columns["seen"] is sample.columns["seen"]


def test_no_noise_is_refused() -> None:
    with pytest.raises(ValueError, match="`strength` must be above 0, got 0"):
        Noise(strength=0)
