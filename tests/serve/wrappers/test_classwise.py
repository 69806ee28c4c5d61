from __future__ import annotations

import json

import numpy as np
import pytest

from roadworthy.core.calibration import classwise_error
from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.serve.base import wrapper
from roadworthy.serve.wrappers import beta_calibrated, calibrated, histogram, isotonic
from roadworthy.serve.wrappers.classwise import Classwise, fit

FITS = [calibrated.fit, beta_calibrated.fit, histogram.fit, isotonic.fit]


def rows(n=4000, seed=0):
    """Class 2 is stated too seldom."""
    rng = np.random.default_rng(seed)
    true = rng.dirichlet((1.0, 1.0, 1.0), n)
    stated = true * np.array([1.0, 1.0, 0.3])
    return np.array([rng.choice(3, p=p) for p in true]), stated / stated.sum(axis=1, keepdims=True)


@pytest.mark.parametrize("each", FITS)
def test_every_binary_method_serves_and_makes_classes_honest(each):
    y, p = rows()
    honest = fit(y, p, each=each).probabilities_of(p)
    np.testing.assert_allclose(honest.sum(axis=1), 1.0)
    assert classwise_error(y, honest).value < 0.03 < 0.08 < classwise_error(y, p).value


def test_each_class_is_calibrated_against_the_rest():
    y, p = rows()
    made = fit(y, p, "classes")
    alone = calibrated.fit((y == 2).astype(float), p[:, 2]).calibrate(p[:, 2])
    others = [calibrated.fit((y == c).astype(float), p[:, c]).calibrate(p[:, c]) for c in (0, 1)]
    np.testing.assert_allclose(made.probabilities_of(p)[:, 2], alone / (alone + others[0] + others[1]))
    got = made.on_outputs({"classes": p[:3].astype(np.float32)})
    assert got["classes"].dtype == np.float32
    np.testing.assert_allclose(got["confidence"], got["classes"].max(axis=1), rtol=1e-6)


def test_a_certain_row_and_a_row_without_any_class_stay_probabilities():
    made = fit(*rows(), each=beta_calibrated.fit)
    got = made.probabilities_of(np.array([[1.0, 0.0, 0.0], [np.nan, 0.5, 0.5]]))
    assert got[0].argmax() == 0
    assert got[0].sum() == pytest.approx(1.0)
    assert np.isnan(got[1]).all()
    nothing = Classwise(({"isotonic": {"scores": [0.5], "rates": [0.0]}},) * 2)
    assert nothing.probabilities_of([[0.3, 0.7]]).tolist() == [[0.3, 0.7]]
    assert Classwise().probabilities_of([[0.3, 0.7]]).tolist() == [[0.3, 0.7]]


def test_fit_refuses_what_it_cannot_learn_from():
    y, p = rows(300)
    with pytest.raises(BadData, match=r"too few of class 1 \(0\)"):
        fit(np.where(y == 1, 0, y), p)
    with pytest.raises(BadData, match="class 0 of 3: isotonic calibration needs 100 labelled rows, got 60"):
        fit(y[:60], p[:60], each=isotonic.fit)
    with pytest.raises(BadData, match="adds up to"):
        fit(y, p / 2)


def test_a_plan_makes_it_again_and_a_wrong_one_is_refused():
    made = fit(*rows(500), each=isotonic.fit)
    assert wrapper.make(json.loads(json.dumps(write_plan(made)))) == made
    with pytest.raises(SpecError, match="no wrapper named 'calibratd'; did you mean 'calibrated'"):
        wrapper.make({"classwise": {"each": ["calibratd"]}})
    with pytest.raises(SpecError, match="'temperature' does not calibrate probabilities one by one"):
        wrapper.make({"classwise": {"each": ["temperature"]}})
    with pytest.raises(BadData, match=r"has shape \(1, 2\); allowed: \(n, 3\)"):
        made.on_outputs({"probabilities": np.array([[0.5, 0.5]])})
