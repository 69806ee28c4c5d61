from __future__ import annotations

import msgspec
import numpy as np
import pytest
from scipy.special import softmax
from sklearn.base import BaseEstimator, ClassifierMixin
from sklearn.calibration import CalibratedClassifierCV
from sklearn.frozen import FrozenEstimator

from roadworthy.core.errors import BadData
from roadworthy.serve.calibration.choosing import Choice, choose, cross_fitted, folds_of
from roadworthy.serve.calibration.methods import METHODS, apply, fit_by_name, methods_for
from roadworthy.serve.calibration.paired import gain
from roadworthy.serve.wrappers.beta_calibrated import BetaCalibrated
from roadworthy.serve.wrappers.calibrated import Calibrated


def binary(n, spoil=None, seed=0):
    """Labels, and probabilities whose honest ones `spoil` makes."""
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.02, 0.98, n)
    return (rng.random(n) < (p if spoil is None else spoil.calibrate(p))).astype(float), p


def classes(n, temperature=1.0, seed=0):
    rng = np.random.default_rng(seed)
    scores = rng.normal(0, 2, (n, 3))
    return np.array([rng.choice(3, p=p) for p in softmax(scores, axis=1)]), scores * temperature


class Scores(ClassifierMixin, BaseEstimator):
    """A classifier whose margin is its only input."""

    def fit(self, inputs, labels):
        self.classes_ = np.array([0, 1])
        return self

    def decision_function(self, inputs):
        return inputs[:, 0]

    def predict(self, inputs):
        return (inputs[:, 0] > 0).astype(int)


def test_the_sigmoid_is_that_of_scikit_learn():
    y, p = binary(500, Calibrated(0.6, 0.4))
    odds = np.log(p / (1 - p))[:, None]
    peer = CalibratedClassifierCV(FrozenEstimator(Scores().fit(odds, y)), method="sigmoid", ensemble=False).fit(odds, y)
    ours = apply(fit_by_name("calibrated", y, p), p)
    np.testing.assert_allclose(ours, peer.predict_proba(odds)[:, 1], atol=1e-4)


@pytest.mark.parametrize(
    ("spoil", "taken"),
    [(None, "none"), (Calibrated(0.5, -0.7), "calibrated"), (BetaCalibrated(0.2, 2.5, 0.5), "beta_calibrated")],
)
def test_the_simplest_method_that_is_shown_to_be_needed_is_taken(spoil, taken):
    found = choose(*binary(4000, spoil), rng=np.random.default_rng(0))
    assert (found.taken, found.n, [one.name for one in found.tried]) == (taken, 4000, ["none", *methods_for("binary")])
    assert next(one.because for one in found.tried if one.taken and one.name == taken) in (
        "what is already there",
        "better than none",
        "better than calibrated",
    )
    last = found.tried[-1]
    assert (last.taken, last.against) == (False, taken)
    assert msgspec.json.decode(msgspec.json.encode(found), type=Choice) == found


def test_steps_that_no_curve_follows_are_left_to_histogram_or_isotonic():
    rng = np.random.default_rng(1)
    p = rng.random(6000)
    y = (rng.random(6000) < np.where(p < 0.45, 0.3, np.where(p < 0.55, 0.5, 0.95))).astype(float)
    assert choose(y, p, rng=rng).taken in ("histogram", "isotonic")


@pytest.mark.parametrize(("temperature", "taken"), [(1.0, "none"), (2.5, "temperature")])
def test_classes_are_chosen_for_too(temperature, taken):
    y, scores = classes(1500, temperature)
    found = choose(y, scores, "multiclass", of="logits", rng=np.random.default_rng(0))
    assert (found.taken, [one.name for one in found.tried]) == (taken, ["none", "temperature", "vector_scaling"])
    by_probabilities = choose(y, softmax(scores, axis=1), "multiclass", rng=np.random.default_rng(0))
    assert (by_probabilities.taken, len(by_probabilities.tried)) == (taken, 7)
    if taken == "temperature":
        made = by_probabilities.leaf()
        assert (made.of, made.output) == ("probabilities", "probabilities")
        assert made.temperature == pytest.approx(2.5, rel=0.15)


def test_something_useless_is_seldom_taken():
    taken = [choose(*binary(300, seed=seed), rng=np.random.default_rng(seed)).taken for seed in range(100)]
    # Two-sided 5 %: by chance 2.5 of 100 are shown to be better without being it, were the gain normal and nought.
    assert sum(name != "none" for name in taken) <= 6


def test_a_method_that_has_too_few_rows_says_how_many_it_needs():
    found = {one.name: one.because for one in choose(*binary(60)).tried}
    assert found["isotonic"] == "isotonic calibration needs 100 labelled rows, got 48: 52 more, or a simpler method"
    assert "needs 200 labelled rows" in found["histogram"]


def test_no_row_is_answered_by_what_was_fitted_on_it():
    rng = np.random.default_rng(0)
    # Labels by chance: whoever has seen a row does better on it than by chance, and isotonic would.
    y, p = (rng.random(400) < 0.5).astype(float), rng.random(400)
    parts = folds_of(400, 5)
    honest = cross_fitted("isotonic", y, p, parts)
    for part in parts:
        rest = np.setdiff1d(np.arange(400), part)
        np.testing.assert_array_equal(honest[part], apply(fit_by_name("isotonic", y[rest], p[rest]), p[part]))
    assert ((honest - y) ** 2).mean() > 0.25 > ((apply(fit_by_name("isotonic", y, p), p) - y) ** 2).mean()


def test_folds_are_stretches_or_dealt_and_hold_every_row_once():
    assert [part.tolist() for part in folds_of(5, 2)] == [[0, 1, 2], [3, 4]]
    dealt = folds_of(100, 5, np.random.default_rng(0))
    assert np.sort(np.concatenate(dealt)).tolist() == list(range(100))
    assert dealt[0].tolist() != list(range(20))
    with pytest.raises(BadData, match="`folds` must be from 2 to the 3 rows, got 4"):
        folds_of(3, 4)


@pytest.mark.parametrize(
    ("labels", "outputs", "task", "said"),
    [
        ([0, 1] * 9, [0.5] * 18, "binary", "a choice among methods needs 20 labelled rows, got 18"),
        ([1] * 40, [0.5] * 40, "binary", "both classes"),
        ([0, 1] * 20, [0.5, np.nan] * 20, "binary", "got nan"),
        ([0, 1] * 20, [2.0, -2.0] * 20, "binary", "margins or logits"),
        ([0, 1] * 20, np.full((40, 3), 1 / 3), "multiclass", "too few of class 2"),
    ],
)
def test_rows_that_nothing_can_be_learnt_from_are_refused(labels, outputs, task, said):
    with pytest.raises(BadData, match=said):
        choose(labels, outputs, task)


def test_every_method_is_fitted_by_its_name_for_the_output_that_is_named():
    y, p = binary(400)
    k, scores = classes(600)
    for name, method in METHODS.items():
        rows = (y, p) if method.task == "binary" else (k, softmax(scores, axis=1))
        assert fit_by_name(name, *rows, output="mine").output == "mine"
    with pytest.raises(BadData, match="no method named 'isotonc'; did you mean 'isotonic'"):
        fit_by_name("isotonc", y, p)
    with pytest.raises(BadData, match="classwise calibrated needs probabilities, and these are logits"):
        fit_by_name("classwise calibrated", k, scores, of="logits")


def test_a_storm_makes_a_gain_less_sure():
    rng = np.random.default_rng(0)
    storms = np.repeat(rng.normal(0, 1, 24), 100) + rng.normal(0, 1, 2400)
    in_time, dealt = (gain("gain", storms, np.zeros(2400), in_time=kept) for kept in (True, False))
    assert in_time.value == dealt.value
    assert in_time.high - in_time.low > 3 * (dealt.high - dealt.low)
    assert gain("gain", np.ones(1), np.zeros(1)).high == np.inf
