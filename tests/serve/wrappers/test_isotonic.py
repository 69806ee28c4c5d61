from __future__ import annotations

import json

import numpy as np
import pytest
from sklearn.isotonic import IsotonicRegression, isotonic_regression

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.serve.base import wrapper
from roadworthy.serve.wrappers.isotonic import IsotonicCalibrated, fit


def rows(n=2000, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    return (rng.random(n) < p**2).astype(float), p


def test_fit_agrees_with_scikit_learn_but_for_certainties():
    y, p = rows()
    made, least, most = fit(y, p), 1 / ((y == 0).sum() + 2), (y.sum() + 1) / (y.sum() + 2)
    order = np.argsort(p)
    steps = np.clip(isotonic_regression(y[order]), least, most)
    np.testing.assert_allclose(made.calibrate(p[order]), steps, atol=1e-12)
    between = np.linspace(-0.1, 1.1, 501)
    theirs = IsotonicRegression(out_of_bounds="clip").fit(p, y).predict(between)
    inside = (theirs > least) & (theirs < most)
    # Beside a clipped step the straight line to the next one is another one.
    assert np.abs(made.calibrate(between) - theirs)[inside].max() < 2 * max(least, 1 - most)


def test_the_order_is_kept_to_both_ends_without_a_certainty():
    made = fit(*rows())
    got = made.calibrate(np.linspace(0, 1, 400))
    assert (np.diff(got) >= 0).all()
    assert 0 < got[0] < 0.05 < 0.8 < got[-1] < 1
    assert np.isnan(made.calibrate([np.nan])[0])


def test_equal_scores_are_one_step():
    made = fit([0, 1, 1, 1] * 30, [0.2, 0.2, 0.6, 0.6] * 30)
    assert (made.scores, made.rates) == ((0.2, 0.6), (0.5, pytest.approx(91 / 92)))


def test_no_steps_change_nothing_and_the_float_type_is_kept():
    given = np.array([[0.25], [1.0]], np.float32)
    got = IsotonicCalibrated().on_outputs({"probability": given})
    assert got["probability"].tolist() == given.tolist()
    assert fit(*rows()).on_outputs({"probability": given})["probability"].dtype == np.float32


@pytest.mark.parametrize(
    ("labels", "p", "said"),
    [
        ([0, 1] * 49, [0.5] * 98, "isotonic calibration needs 100 labelled rows, got 98: 2 more"),
        ([0] * 200, [0.5] * 200, "both classes, got 0 of class 1"),
        ([0, 1] * 60, [0.5, -3.0] * 60, "got -3.0"),
    ],
)
def test_fit_refuses_what_it_cannot_learn_from(labels, p, said):
    with pytest.raises(BadData, match=said):
        fit(labels, p)


def test_a_plan_makes_it_again_and_a_wrong_one_is_refused():
    made = fit(*rows(300))
    assert wrapper.make(json.loads(json.dumps(write_plan(made)))) == made
    for settings, said in (
        ({"scores": [0.1], "rates": []}, "each score has one rate"),
        ({"scores": [0.2, 0.1], "rates": [0.1, 0.2]}, "`scores` must rise"),
        ({"scores": [0.1, 0.2], "rates": [0.3, 0.2]}, "must not fall"),
    ):
        with pytest.raises(SpecError, match=said):
            wrapper.make({"isotonic": settings})
