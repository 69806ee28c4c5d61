from __future__ import annotations

import json
import math

import numpy as np
import pytest
from scipy.optimize import minimize

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.serve.base import wrapper
from roadworthy.serve.calibration.logistic import platt_targets
from roadworthy.serve.wrappers import calibrated
from roadworthy.serve.wrappers.beta_calibrated import BetaCalibrated, fit


def bent(n=3000, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.01, 0.99, n)
    return (rng.random(n) < BetaCalibrated(0.4, 1.8, 0.3).calibrate(p)).astype(float), p


def test_fit_recovers_the_curve_that_made_the_labels():
    made = fit(*bent(60_000))
    assert (made.near_zero, made.near_one, made.intercept) == (
        pytest.approx(0.4, abs=0.05),
        pytest.approx(1.8, abs=0.08),
        pytest.approx(0.3, abs=0.08),
    )
    assert made.rows == 60_000


@pytest.mark.parametrize("case", ["both", "one", "none"])
def test_fit_agrees_with_a_general_minimiser_that_keeps_the_slopes_from_below_0(case):
    y, p = bent()
    if case == "one":
        y = (np.random.default_rng(1).random(len(p)) < 0.9 - 0.5 * np.sqrt(p) * (p < 0.5)).astype(float)
    if case == "none":
        y = 1 - y
    targets, odds = platt_targets(y), np.column_stack([np.log(p), -np.log1p(-p), np.ones(len(p))])

    def loss(numbers):
        scores = odds @ numbers
        return (np.logaddexp(0, scores) - targets * scores).mean()

    peer = minimize(loss, np.ones(3), bounds=[(0, None), (0, None), (None, None)], tol=1e-14).x
    made = fit(y, p)
    assert [made.near_zero, made.near_one, made.intercept] == pytest.approx(peer, abs=2e-3)
    assert min(made.near_zero, made.near_one) == 0.0 or case == "both"


def test_it_does_what_platt_does_where_both_slopes_are_one():
    p = np.linspace(0, 1, 11)
    line = calibrated.Calibrated(0.7, -0.2).calibrate(p)
    np.testing.assert_allclose(BetaCalibrated(0.7, 0.7, -0.2).calibrate(p), line, rtol=1e-9)
    np.testing.assert_allclose(BetaCalibrated().calibrate(p[1:-1]), p[1:-1], rtol=1e-9)


def test_the_order_is_kept_up_to_both_ends_and_a_nan_stays_one():
    given = np.array([0.0, 1e-9, 1e-3, 0.5, 1 - 1e-3, 1 - 1e-9, 1.0, np.nan])
    got = fit(*bent()).calibrate(given)
    assert (np.diff(got[:-1]) >= 0).all()
    assert 0 < got[0] < got[-2] < 1
    assert math.isnan(got[-1])


@pytest.mark.parametrize("dtype", [np.float16, np.float32, np.float64])
def test_the_float_type_is_kept_and_confidence_made_anew(dtype):
    given = np.array([0.1, 0.8], dtype)
    got = BetaCalibrated(0.5, 1.5).on_outputs({"probability": given, "other": given})
    assert got["probability"].dtype == dtype
    assert got["other"] is given
    p = got["probability"].astype(float)
    np.testing.assert_allclose(got["confidence"], np.maximum(p, 1 - p), atol=1e-3)


def test_classes_are_no_probabilities():
    with pytest.raises(BadData, match="output 'probability' holds int64, not floating-point"):
        BetaCalibrated().on_outputs({"probability": np.array([0, 1])})
    with pytest.raises(SpecError, match="no output 'probability'"):
        BetaCalibrated().on_outputs({"scores": np.array([0.5])})


@pytest.mark.parametrize(
    ("labels", "p", "said"),
    [
        ([0, 1] * 14, [0.5] * 28, "beta calibration needs 30 labelled rows, got 28: 2 more"),
        ([1] * 40, [0.5] * 40, "rows of both classes, got 40 of class 1 in 40"),
        ([0, 1] * 20, [0.5, np.nan] * 20, "a probability is a number from 0 to 1, got nan and 19 more"),
        ([0, 1] * 20, [0.5, 1.7] * 20, "got 1.7 and 19 more"),
        ([0, 2] * 20, [0.5] * 40, "a label is 0 or 1, got 2.0 and 19 more"),
        ([0, np.nan] * 20, [0.5] * 40, "not known yet"),
        ([0, 1], [0.5] * 40, r"one label for each probability, got labels \(2,\)"),
    ],
)
def test_fit_refuses_what_it_cannot_learn_from(labels, p, said):
    with pytest.raises(BadData, match=said):
        fit(labels, p)


def test_a_plan_makes_it_again():
    made = fit(*bent(200), output="late")
    assert wrapper.make(json.loads(json.dumps(write_plan(made)))) == made
    with pytest.raises(SpecError, match="`near_one` must be 0 or above, got -1"):
        wrapper.make("beta_calibrated:near_one=-1")
