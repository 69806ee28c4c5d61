from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.core.spec import Application
from roadworthy.evaluate.answers import WITHHELD, Answers
from roadworthy.evaluate.certainty.certainty import FIGURES, MOST_CLASSES, certainty
from roadworthy.evaluate.metrics.exact_match import ExactMatch
from roadworthy.evaluate.paired import rightness
from roadworthy.evaluate.told import Told


def measured(task, labels, values, *, told=None, failed=None, classes=(), right=None, target=None):
    asked = Application("a", task, {}, classes=classes)
    found = Answers(np.asarray(values), failed or {}, told or Told())
    return certainty("production", asked, np.asarray(labels), found, right or rightness(), target)


def drawn(n=4000, seed=0, power=1.0):
    """Probabilities and what came true; `power` below 1 makes what is stated less extreme than what is true."""
    rng = np.random.default_rng(seed)
    p = rng.random(n)
    odds = (p / (1 - p)) ** power
    return (rng.random(n) < p).astype(np.float64), odds / (1 + odds)


def figure(found, name, where=""):
    return next(m for m in found.figures if (m.name, m.where) == (name, where))


def test_a_calibrated_model_has_no_error_and_one_that_exaggerates_has():
    honest, loud = measured("binary", *drawn()), measured("binary", *drawn(power=3.0))
    assert honest.errors[0].low == 0.0
    assert loud.errors[0].low > 0.05
    assert loud.brier.reliability.low > honest.brier.reliability.high
    assert honest.brier.score.value == pytest.approx(1 / 6, abs=0.02)  # of a uniform probability
    # The order of the rows is the same, so that doubt tells as much.
    assert loud.curve.error_auroc.value == pytest.approx(honest.curve.error_auroc.value, abs=0.01)


def test_the_diagram_says_how_often_what_was_stated_came_true():
    found = measured("binary", *drawn())
    assert len(found.diagram) == 10
    assert all(one.rate.low - 0.03 <= one.stated <= one.rate.high + 0.03 for one in found.diagram)


def test_flagging_what_is_least_sure_leaves_fewer_errors():
    found = measured("binary", *drawn())
    shares = [m.value for m in found.answered]
    assert [m.where for m in found.answered] == [f"surest {s} %" for s in (99, 95, 90, 80)]
    assert shares == sorted(shares)
    assert found.answered[-1].low > 1 - found.curve.risk.value


def test_a_model_that_says_itself_how_sure_it_is_is_believed():
    labels, p = drawn(1000)
    right = (p >= 0.5) == labels
    knowing = measured("binary", labels, p, told=Told(confidence=np.where(right, 0.9, 0.1)))
    assert knowing.curve.error_auroc.value == 1.0
    assert knowing.curve.excess.value == pytest.approx(0.0)
    some = np.where(np.arange(1000) % 2 == 0, np.nan, np.maximum(p, 1 - p))
    assert measured("binary", labels, p, told=Told(confidence=some)).curve == measured("binary", labels, p).curve


def test_several_classes_are_asked_about_the_likeliest_and_each():
    rng = np.random.default_rng(1)
    p = rng.dirichlet((0.5, 0.5, 0.5), 2000)
    labels = np.array([rng.choice(3, p=row) for row in p], np.float64)
    found = measured("multiclass", labels, p, classes=("a", "b", "c"))
    assert [m.name for m in found.errors] == ["top_label_ece", "classwise_ece"]
    assert all(m.low == 0.0 for m in found.errors)
    assert 1 - found.curve.risk.value == pytest.approx((p.argmax(axis=1) == labels).mean())


def test_of_many_classes_the_error_of_each_is_left_out_and_it_says_so():
    k = MOST_CLASSES + 1
    p = np.full((80, k), 0.5 / (k - 1))
    p[np.arange(80), np.arange(80)] = 0.5
    found = measured("multiclass", np.arange(80.0), p, classes=tuple(map(str, range(k))))
    assert [m.name for m in found.errors] == ["top_label_ece"]
    assert any(f"there are {k} classes" in why for why in found.unsaid)


def test_a_written_answer_is_judged_by_the_confidence_that_comes_with_it():
    n = 200
    labels = np.array([f"{k}" for k in range(n)], dtype=object)
    texts = np.array([f"{k}" if k % 4 else "no idea" for k in range(n)], dtype=object)
    sure = np.where(np.arange(n) % 4 == 0, 0.3, 0.9)
    right = rightness(ExactMatch())
    found = measured("generation", labels, texts, told=Told(confidence=sure), right=right)
    assert found.errors[0].name == "debiased_ece"
    assert found.curve.error_auroc.value == 1.0
    mute = measured("generation", labels, texts, right=right)
    assert (mute.errors, mute.curve, mute.rows) == ((), None, n)
    assert "do not say how sure they are" in mute.unsaid[0]
    logits = measured("generation", labels, texts, told=Told(confidence=10 * sure), right=right)
    assert logits.curve.error_auroc.value == 1.0
    assert logits.errors == ()


def test_a_number_has_intervals_and_neither_calibration_nor_risk():
    truth = np.linspace(0.0, 1.0, 100)
    ends = np.stack([truth - 0.1, truth + 0.1], axis=1)
    found = measured("regression", truth, truth, told=Told(intervals=ends), target=0.9)
    assert (found.errors, found.brier, found.curve, found.answered) == ((), None, None, ())
    assert found.held.coverage.value == 1.0
    assert figure(found, "interval_width").value == pytest.approx(0.2)
    assert found.unsaid == (
        "a predicted number is near or far, not right or wrong: it has no calibration error and no risk curve",
    )


@pytest.mark.parametrize(
    ("task", "labels", "values", "because"),
    [
        ("binary", np.full(50, np.nan), np.full(50, 0.5), "no row has both a label and an answer"),
        ("binary", np.zeros(0), np.zeros(0), "no row has both"),
        ("binary", np.zeros(50), np.linspace(-3, 3, 50), "no probabilities"),
        ("multiclass", np.zeros(50), np.full((50, 3), 0.9), "no probabilities"),
        ("binary", np.zeros(10), np.full(10, 0.5), "10 labelled rows: a reliability diagram takes 20"),
    ],
)
def test_what_cannot_be_said_has_a_reason(task, labels, values, because):
    found = measured(task, labels, values, classes=("a", "b", "c") if task == "multiclass" else ())
    assert because in found.unsaid[0]
    assert (found.errors, found.brier, found.diagram) == ((), None, ())


def test_scores_that_are_no_probabilities_have_a_risk_curve_by_the_confidence_beside_them():
    scores = np.linspace(-3, 3, 50)
    found = measured("binary", scores > 0, scores, told=Told(confidence=np.abs(scores)))
    assert found.curve is not None
    assert found.errors == ()


def test_what_is_left_to_others_is_counted_and_the_rest_is_judged():
    labels, p = drawn(1000)
    flagged = np.abs(p - 0.5) < 0.1
    kept = measured("binary", labels, p, told=Told(flagged=flagged)).abstained
    assert kept.flagged.value == flagged.mean()
    right = (p >= 0.5) == labels
    assert kept.accuracy_answered.value == pytest.approx(right[~flagged].mean())
    assert kept.accuracy_flagged.value == pytest.approx(right[flagged].mean())
    withheld = {int(row): WITHHELD for row in np.flatnonzero(flagged)}
    values = np.where(flagged, np.nan, p)
    gone = measured("binary", labels, values, told=Told(flagged=flagged), failed=withheld).abstained
    assert (gone.flagged, gone.accuracy_answered) == (kept.flagged, kept.accuracy_answered)
    assert gone.accuracy_flagged.n == 0


def test_a_row_that_failed_was_neither_answered_nor_left():
    labels, p = drawn(100)
    failed = dict.fromkeys(range(20), "TimeoutError: late")
    values = np.where(np.arange(100) < 20, np.nan, p)
    flagged = np.arange(100) >= 60
    assert measured("binary", labels, values, told=Told(flagged=flagged), failed=failed).abstained.flagged.n == 80


def test_every_figure_may_be_required_and_has_a_place_of_its_own():
    sets = np.empty(500, object)
    sets.fill(("0", "1"))
    labels, p = drawn(500)
    told = Told(sets=sets, flagged=np.abs(p - 0.5) < 0.1)
    found = measured("binary", labels, p, told=told, target=0.9)
    assert {m.name for m in found.figures} <= set(FIGURES)
    places = [(m.name, m.where) for m in found.figures]
    assert len(places) == len(set(places))
    assert not any(math.isnan(m.value) for m in found.figures)
