from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.sample import Sample
from roadworthy.evaluate.corruptions.sentinel import Sentinel as Sentinels
from roadworthy.evaluate.repairs.impute import Impute
from roadworthy.evaluate.repairs.sentinel import Sentinel

LAB = Sample({"age": np.arange(17.0, 91), "gain": np.array([0.0, 99999.0] * 37)})


@pytest.mark.parametrize("value", [-1.0, 999.0, -999, 99999, -32768, 2147483647, np.inf])
def test_what_stands_for_not_known_becomes_null(value: float) -> None:
    mended = Sentinel()(Sample({"age": np.array([30.0, value])}), LAB).columns["age"]
    np.testing.assert_array_equal(mended, [30, np.nan])


@pytest.mark.parametrize("value", [99.0, 9.0, 12345.0, -2.0, 998.0])
def test_another_number_stays_however_odd(value: float) -> None:
    sample = Sample({"age": np.array([30.0, value])})
    assert Sentinel()(sample, LAB) is sample


def test_what_the_lab_holds_too_stays() -> None:
    sample = Sample({"gain": np.array([99999.0, -1.0])})
    np.testing.assert_array_equal(Sentinel()(sample, LAB).columns["gain"], [99999, np.nan])


def test_more_values_and_fewer_nines_can_be_named() -> None:
    sample = Sample({"age": np.array([99.0, 12345.0])})
    assert np.isnan(Sentinel(nines=2, values=(12345,))(sample, LAB).columns["age"]).all()
    with pytest.raises(ValueError, match="`nines` must be at least 2"):
        Sentinel(nines=1)


def test_it_undoes_the_corruption_of_its_name_but_for_the_values_lost() -> None:
    sample = Sample({"age": np.random.default_rng(0).integers(17, 91, 500).astype(float)})
    spoilt = Sentinels()(sample, 0.5, np.random.default_rng(0))
    lost = spoilt.columns["age"] == 99999
    mended = Impute()(Sentinel()(spoilt, LAB), LAB).columns["age"]
    assert (mended[~lost] == sample.columns["age"][~lost]).all()
    assert (mended[lost] == 53).all()
