from __future__ import annotations

import numpy as np
import pytest
from sklearn.metrics import log_loss, roc_auc_score

from roadworthy.core.window import Window
from roadworthy.observe.estimators.atc import Atc
from roadworthy.observe.estimators.cbpe import Cbpe
from roadworthy.observe.estimators.doc import Doc
from roadworthy.observe.estimators.static import Static


def world(rng, n, harder=0.0, reversed_share=0.0):
    """Too sure a model; `harder` moves inputs to where it is unsure, `reversed_share` turns outcomes around."""
    risk = rng.normal(0, 2.0 * (1 - harder), n)
    chance = 1 / (1 + np.exp(-risk))
    labels = (rng.random(n) < np.where(rng.random(n) < reversed_share, 1 - chance, chance)).astype(float)
    return Window({}, {"p": 1 / (1 + np.exp(-2 * risk))}, labels, np.zeros(n))


def accuracy(window):
    return ((window.outputs["p"] >= 0.5) == window.labels).mean()


def test_calibrated_confidence_follows_inputs_that_became_harder():
    rng = np.random.default_rng(0)
    reference, current = world(rng, 8000), world(rng, 8000, harder=0.7)
    static, cbpe = Static()(reference, current, "p"), Cbpe()(reference, current, "p")
    assert static.low > accuracy(current) + 0.05
    assert cbpe.low <= accuracy(current) <= cbpe.high
    for each in (Doc(), Atc()):  # which may go too far: the threshold of ATC suits the old mix of confidences
        assert each(reference, current, "p").high < static.low


def test_no_estimate_sees_outcomes_that_changed_their_law():
    rng = np.random.default_rng(1)
    reference, current = world(rng, 8000), world(rng, 8000, reversed_share=0.3)
    for blind in (Cbpe(), Doc(), Atc(), Static()):
        assert blind(reference, current, "p").low > accuracy(current) + 0.1


@pytest.mark.parametrize("metric", ["auc", "log_loss", "rate"])
def test_other_metrics_are_estimated_too(metric):
    def truth(window):
        p, labels = window.outputs["p"], window.labels
        return {"auc": roc_auc_score, "log_loss": log_loss, "rate": lambda y, _: y.mean()}[metric](labels, p)

    missed, rng = 0, np.random.default_rng(2)
    for _ in range(40):
        current = world(rng, 1500, harder=0.3)
        found = Cbpe(metric=metric)(world(rng, 2000), current, "p")
        assert found.name == metric
        missed += not found.low <= truth(current) <= found.high
    assert missed <= 7


def test_the_unit_of_a_log_loss_is_kept_where_nothing_is_estimated():
    empty = world(np.random.default_rng(3), 0)
    assert Cbpe(metric="log_loss")(empty, empty, "p").unit == "nats"


def test_classes_have_an_accuracy_and_nothing_else():
    rng = np.random.default_rng(4)

    def three(n):
        stated = rng.dirichlet([0.6, 0.6, 0.6], n)
        labels = np.array([rng.choice(3, p=row) for row in stated], float)
        return Window({}, {"p": stated}, labels, np.zeros(n))

    reference, current = three(1500), three(1500)
    truth = (current.outputs["p"].argmax(axis=1) == current.labels).mean()
    for each in (Cbpe(), Doc(), Atc(), Static()):
        found = each(reference, current, "p")
        assert found.low <= truth <= found.high
    assert Cbpe(metric="auc")(reference, current, "p").n == 0


def test_waits_for_labels_in_the_reference_and_says_who_estimates():
    rng = np.random.default_rng(5)
    current = world(rng, 500)
    assert Doc(least_rows=100)(world(rng, 99), current, "p").n == 0
    found = Doc(least_rows=100)(world(rng, 100), current, "p")
    assert (found.n, found.conditions["estimator"]) == (500, "doc")


def test_a_reference_without_an_error_still_gives_an_interval():
    sure = Window({}, {"p": np.full(200, 0.99)}, np.ones(200), np.zeros(200))
    assert Static()(sure, sure, "p").low < 1.0


def test_one_class_has_no_area():
    rng = np.random.default_rng(6)
    ones = Window({}, {"p": rng.random(300)}, np.ones(300), np.zeros(300))
    assert Cbpe(metric="auc")(ones, ones, "p").n == 0


def test_a_higher_confidence_is_wider_and_stated():
    rng = np.random.default_rng(7)
    reference, current = world(rng, 500), world(rng, 500)
    sure, usual = Cbpe(confidence=0.99)(reference, current, "p"), Cbpe()(reference, current, "p")
    assert sure.high - sure.low > usual.high - usual.low
    assert sure.conditions["confidence"] == 0.99
