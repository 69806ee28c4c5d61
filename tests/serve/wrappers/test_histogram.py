from __future__ import annotations

import json

import numpy as np
import pytest

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.serve.base import wrapper
from roadworthy.serve.wrappers.histogram import HistogramCalibrated, fit


def rows(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return (rng.random(n) < p**2).astype(float), p


def test_each_bin_of_equal_count_answers_its_rate():
    y, p = rows()
    made, order = fit(y, p), np.argsort(p)
    assert (len(made.rates), made.rows) == (10, 2000)
    hits = y[order].reshape(10, 200).sum(axis=1)
    np.testing.assert_allclose(made.rates, (hits + y.mean()) / 201)
    np.testing.assert_allclose(made.calibrate(p[order]).reshape(10, 200), np.array(made.rates)[:, None] * np.ones(200))


def test_both_ends_have_a_bin_none_is_certain_and_a_nan_stays_one():
    made = fit(np.array([0, 1]).repeat(100), np.array([0.0, 1.0]).repeat(100), bins=2)
    low, high, nan = made.calibrate([0.0, 1.0, np.nan])
    assert (low, high) == (pytest.approx(0.5 / 101), pytest.approx(100.5 / 101))
    assert np.isnan(nan)


def test_rows_that_share_a_probability_share_a_bin():
    y = np.tile([0.0, 1.0], 150)
    assert fit(y, np.full(300, 0.4)).rates == (0.5,)
    p = np.concatenate([np.full(280, 0.4), np.linspace(0.5, 0.9, 20)])
    assert len(fit(y, p).edges) == 1


def test_no_bins_change_nothing_and_the_float_type_is_kept():
    given = np.array([0.25, 1.0], np.float32)
    assert HistogramCalibrated().on_outputs({"probability": given})["probability"].tolist() == given.tolist()
    assert fit(*rows()).on_outputs({"probability": given})["probability"].dtype == np.float32


@pytest.mark.parametrize(
    ("n", "bins", "said"),
    [
        (198, 10, "histogram binning with 10 bins needs 200 labelled rows, got 198: 2 more"),
        (198, 1, "2 `bins` or more, got 1"),
    ],
)
def test_fit_refuses_what_it_cannot_learn_from(n, bins, said):
    with pytest.raises(BadData, match=said):
        fit([0, 1] * (n // 2), [0.5] * n, bins=bins)
    with pytest.raises(BadData, match="both classes"):
        fit([1] * 200, [0.5] * 200)


def test_a_plan_makes_it_again_and_a_wrong_one_is_refused():
    made = fit(*rows(300))
    assert wrapper.make(json.loads(json.dumps(write_plan(made)))) == made
    with pytest.raises(SpecError, match="n `edges` part n \\+ 1 `rates`, got 1 and 1"):
        wrapper.make({"histogram": {"edges": [0.5], "rates": [0.5]}})
    with pytest.raises(SpecError, match="`edges` must rise"):
        wrapper.make({"histogram": {"edges": [0.5, 0.4], "rates": [0.5, 0.6, 0.7]}})
