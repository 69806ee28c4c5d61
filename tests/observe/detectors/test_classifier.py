from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from roadworthy.core.errors import SpecError
from roadworthy.core.profile import Reference
from roadworthy.core.stats import binomial_survival
from roadworthy.core.window import Window
from roadworthy.observe.detectors.classifier import Classifier
from roadworthy.observe.detectors.psi import Psi


def world(n, seed, change=None):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n, 4))
    c = rng.choice(np.array(["a", "b", "c", None], dtype=object), n, p=[0.5, 0.3, 0.15, 0.05])
    if change == "together":
        x[:, 1] = 0.5 * x[:, 0] + np.sqrt(0.75) * x[:, 1]
    if change == "same sign":
        x[:, 1] = np.abs(x[:, 1]) * np.sign(x[:, 0]) * np.where(rng.random(n) < 0.75, 1, -1)
    if change == "category":
        # Each by itself is as before: a mixture of the same two normals, and the same categories.
        x[:, 2] = np.where((c == "a") == (rng.random(n) < 0.9), 1.0, -1.0) + 0.5 * rng.normal(size=n)
    if change is None or change != "category":
        x[:, 2] = rng.choice([-1.0, 1.0], n) + 0.5 * rng.normal(size=n)
    columns = {f"x{k}": x[:, k] for k in range(4)}
    return Window({**columns, "c": c}, {"score": rng.random(n)}, np.full(n, np.nan), np.arange(n, dtype=float))


@pytest.mark.parametrize(
    ("change", "names"), [("together", {"x0", "x1"}), ("same sign", {"x0", "x1"}), ("category", {"x2", "c"})]
)
def test_a_joint_law_that_moved_is_found_and_named_though_no_column_did(change, names):
    reference, current = world(2000, 0), world(1000, 1, change)
    assert Psi()(Reference.of(reference), current).decision == "pass"
    verdict = Classifier()(reference, current)
    assert verdict.decision == "fail"
    assert {m.where for m in verdict.evidence[1:3]} == names
    assert all(name in verdict.because for name in names)
    assert verdict.evidence[0].name == "auc"
    assert verdict.evidence[0].conditions["p"] < 1e-6


@pytest.mark.parametrize("n", [50, 100, 300, 1000])
def test_false_alarms_stay_within_alpha_without_help_of_an_effect_size(n):
    detector = Classifier(alpha=0.05, least=0.5)
    hit = sum(detector(world(400, k), world(n, 5000 + k)).decision == "fail" for k in range(80))
    assert binomial_survival(hit, 80, 0.05) > 1e-4


def test_p_values_are_uniform_on_one_law():
    detector = Classifier()
    ps = [detector(world(200, k), world(80, 9000 + k)).evidence[0].conditions["p"] for k in range(150)]
    assert stats.kstest(ps, "uniform").pvalue > 1e-3


def test_a_difference_too_small_to_matter_is_no_alarm_however_many_rows():
    rng = np.random.default_rng(0)
    old, new = ({"x": rng.normal(size=60_000) + shift} for shift in (0.0, 0.04))
    at = np.zeros(60_000)
    windows = [Window(columns, {}, at, at) for columns in (old, new)]
    verdict = Classifier()(*windows)
    assert verdict.evidence[0].conditions["p"] < 0.01
    assert verdict.decision == "pass"
    assert Classifier(least=0.5)(*windows).decision == "fail"


def test_nulls_that_go_with_another_column_are_found():
    reference, current = world(2000, 0), world(2000, 1)
    for window, where in ((reference, np.arange(2000) % 4 == 0), (current, current.inputs["x0"] > 0.67)):
        window.inputs["x1"][where] = np.nan
    verdict = Classifier()(reference, current)
    assert verdict.decision == "fail"
    assert {m.where for m in verdict.evidence[1:3]} == {"x0", "x1"}


def test_a_column_that_vanished_is_named_and_a_new_one_mentioned():
    reference, current = world(500, 0), world(500, 1)
    del current.inputs["x3"]
    verdict = Classifier()(reference, current)
    assert verdict.decision == "fail"
    assert verdict.evidence[1].where == "x3"
    current = world(500, 1)
    current.inputs["brand_new"] = np.zeros(500)
    assert "not in the reference: brand_new" in Classifier()(reference, current).because


def test_columns_can_be_chosen_outputs_too():
    reference, current = world(1000, 0), world(1000, 1, "together")
    assert Classifier(columns=("x0", "x2"))(reference, current).decision == "pass"
    assert Classifier(ignore=("x1",))(reference, current).decision == "pass"
    current.outputs["score"][:] **= 3
    assert Classifier(columns=("score",))(reference, current).evidence[1].where == "score"
    with pytest.raises(SpecError, match="did you mean 'score'"):
        Classifier(columns=("scores",))(reference, current)


def test_what_is_learnt_from_is_bounded_and_all_else_is_tested_on():
    reference, current = world(1000, 0), world(1000, 1, "together")
    verdict = Classifier(most_rows=300)(reference, current)
    assert verdict.decision == "fail"
    assert verdict.evidence[0].n == 2 * 700


def test_waits_where_rows_or_columns_are_missing():
    assert "49 rows against 500" in Classifier()(world(500, 0), world(49, 1)).because
    at = np.zeros(100)
    assert Classifier()(Window({}, {}, at, at), world(100, 1)).decision == "wait"


@pytest.mark.parametrize(
    ("wrong", "told"), [({"alpha": 0}, "alpha"), ({"least": 0.2}, "AUC"), ({"least_rows": 2}, "least_rows")]
)
def test_impossible_settings_are_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        Classifier(**wrong)
