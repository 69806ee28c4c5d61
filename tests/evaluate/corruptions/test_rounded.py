from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field
from roadworthy.evaluate.corruptions.rounded import Rounded

COLUMN = np.array([1278.0, -0.0456, 0.0, np.nan, np.inf, 97.0])


def rounded(**settings: object) -> np.ndarray:
    return Rounded(**settings)(Sample({"x": COLUMN}), 1.0, np.random.default_rng(0)).columns["x"]  # type: ignore[arg-type]


def test_significant_digits_are_kept_whatever_the_size() -> None:
    np.testing.assert_allclose(rounded(), [1000, -0.05, 0, np.nan, np.inf, 100])
    np.testing.assert_allclose(rounded(digits=2), [1300, -0.046, 0, np.nan, np.inf, 97])


def test_cut_goes_towards_zero() -> None:
    np.testing.assert_allclose(rounded(form="cut"), [1000, -0.04, 0, np.nan, np.inf, 90])


def test_whole_numbers_of_two_digits_do_not_lose_their_last_bit() -> None:
    sample = Sample({"n": np.arange(10.0, 100)}, fields={"n": Field("integer")})
    spoilt = Rounded(digits=2)(sample, 1.0, np.random.default_rng(0)).columns["n"]
    assert (spoilt == sample.columns["n"]).all()


def test_no_digit_is_refused() -> None:
    with pytest.raises(ValueError, match="`digits` must be at least 1, got 0"):
        Rounded(digits=0)
