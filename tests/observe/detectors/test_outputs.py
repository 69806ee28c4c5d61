from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.stats import binomial_survival
from roadworthy.core.window import Window
from roadworthy.observe.detectors.outputs import Outputs, classes


def window(confidence=None, **outputs):
    n = len(next(iter(outputs.values())))
    return Window({}, outputs, np.full(n, np.nan), np.arange(n, dtype=float), confidence=confidence)


def softmax(n, seed, mix=(0.4, 0.3, 0.2, 0.1)):
    """What a model says that knows the class of nearly every row."""
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=(n, 4)) + 4 * np.eye(4)[rng.choice(4, n, p=mix)]
    return np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)


def test_another_mix_of_classes_is_found_and_the_class_named():
    verdict = Outputs()(window(p=softmax(2000, 0)), window(p=softmax(400, 1, (0.4, 0.3, 0.05, 0.25))))
    assert verdict.decision == "fail"
    assert verdict.because.startswith("answers moved in 400 rows: p[2] by")
    tests = {*(f"p[{k}]" for k in range(4)), "max of p", "predicted class of p"}
    assert {m.where for m in verdict.evidence} == tests


def test_a_model_that_is_less_sure_is_found_by_its_greatest_probability():
    flat = softmax(1000, 1) ** 0.5
    verdict = Outputs()(window(p=softmax(2000, 0)), window(p=flat / flat.sum(axis=1, keepdims=True)))
    assert verdict.decision == "fail"
    assert "max of p" in verdict.because


@pytest.mark.parametrize("n", [50, 300, 3000])
def test_false_alarms_stay_within_alpha_whatever_the_number_of_classes(n):
    detector = Outputs(alpha=0.05, least=0.0)
    reference = [window(p=softmax(2000, k)) for k in range(60)]
    hit = sum(detector(old, window(p=softmax(n, 999 + k))).decision == "fail" for k, old in enumerate(reference))
    assert binomial_survival(hit, 60, 0.05) > 1e-4


def test_scores_and_confidence_count_too():
    rng = np.random.default_rng(0)
    old, new = rng.normal(size=1000), rng.normal(size=1000) + 0.3
    assert Outputs()(window(score=old), window(score=new)).decision == "fail"
    same = window(score=old, confidence=old), window(score=old, confidence=new)
    assert Outputs()(*same).because.startswith("answers moved in 1000 rows: confidence by")


def test_named_classes_are_compared_by_their_counts():
    rng = np.random.default_rng(0)
    names = np.array(["cat", "dog", "rare", None], object)
    old = rng.choice(names, 2000, p=[0.6, 0.3, 0.09, 0.01])
    same, other = rng.choice(names, 300, p=[0.6, 0.3, 0.09, 0.01]), rng.choice(names, 300, p=[0.3, 0.6, 0.09, 0.01])
    assert Outputs()(window(label=old), window(label=same)).decision == "pass"
    verdict = Outputs()(window(label=old), window(label=other))
    assert verdict.decision == "fail"
    assert verdict.evidence[0].conditions["most"].startswith("cat: 60.5% became 30")
    assert verdict.evidence[0].value == pytest.approx(0.3, abs=0.08)


def test_the_counts_of_named_classes_are_beyond_chance_as_rarely_as_stated():
    rng = np.random.default_rng(1)
    draws = [rng.zipf(1.6, 400).clip(0, 50).astype(str).astype(object) for _ in range(300)]
    hit = sum(
        classes("c", one, other).conditions["p"] <= 0.05 for one, other in zip(draws[::2], draws[1::2], strict=True)
    )
    assert binomial_survival(hit, 150, 0.05) > 1e-4


def test_answers_that_stay_away_or_change_their_shape_are_alarms():
    old = window(p=softmax(500, 0))
    assert "nulls of p[0]" in str(Outputs()(old, window(other=np.zeros(500))).evidence)
    assert Outputs()(old, window(other=np.zeros(500))).decision == "fail"
    verdict = Outputs()(old, window(p=np.full((500, 3), 1 / 3)))
    assert verdict.decision == "fail"
    assert verdict.evidence[0].conditions["most"] == "shape (4,) became (3,)"


def test_answers_too_wide_are_left_out():
    wide = np.random.default_rng(0).normal(size=(100, 20))
    assert Outputs(most_classes=10)(window(v=wide), window(v=wide + 5)).decision == "wait"
    assert Outputs(most_classes=20)(window(v=wide), window(v=wide + 5)).decision == "fail"


def test_outputs_can_be_chosen_and_a_wrong_name_is_refused():
    rng = np.random.default_rng(0)
    old, new = window(a=rng.normal(size=400), b=rng.normal(size=400)), window(a=rng.normal(size=400), b=np.ones(400))
    assert Outputs(columns=("a",))(old, new).decision == "pass"
    assert Outputs()(old, new).decision == "fail"
    with pytest.raises(SpecError, match="no output named 'c'"):
        Outputs(columns=("c",))(old, new)


def test_waits_where_there_is_nothing_to_compare():
    assert "40 rows against 400" in Outputs()(window(a=np.zeros(400)), window(a=np.zeros(40))).because
    at = np.zeros(100)
    assert Outputs()(Window({}, {}, at, at), window(a=at)).decision == "wait"
    with pytest.raises(ValueError, match="alpha"):
        Outputs(alpha=1.0)
