"""Every class is covered as promised, and a class with too few rows is refused by name."""

from __future__ import annotations

import math

import numpy as np
import pytest

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData, SpecError
from roadworthy.serve.base import wrapper
from roadworthy.serve.conformal.fitting import fit as fit_plain
from roadworthy.serve.wrappers.absolute import Absolute
from roadworthy.serve.wrappers.aps import Aps
from roadworthy.serve.wrappers.lac import Lac
from roadworthy.serve.wrappers.mondrian_class import MondrianClass, fit, promised
from roadworthy.serve.wrappers.raps import Raps


def drawn(rng, n):
    """The rare class 2 is hardly ever found."""
    labels = rng.choice(3, n, p=[0.5, 0.35, 0.15])
    scores = rng.normal(size=(n, 3)) + np.array([2.0, 2.0, 0.3])[labels][:, None] * np.eye(3)[labels]
    p = np.exp(scores)
    return labels, {"probabilities": p / p.sum(axis=1, keepdims=True)}


def share_held(leaf, labels, outputs, of):
    sets = leaf.on_outputs(outputs)["prediction_set"]
    return np.mean([str(k) in held for k, held in zip(labels, sets, strict=True) if k == of])


@pytest.mark.parametrize("leaf", [Lac(), Aps(), Raps(penalty=0.1, free=1)])
def test_each_class_is_covered_as_promised_where_one_threshold_covers_some_less(leaf):
    rng, own, plain = np.random.default_rng(0), [], []
    for _ in range(30):
        cal, test = drawn(rng, 400), drawn(rng, 600)
        own.append([share_held(fit(leaf, *cal), *test, of) for of in range(3)])
        plain.append(share_held(fit_plain(leaf, *cal), *test, 2))
    for of, (rows, share) in enumerate(zip((200, 140, 60), np.mean(own, axis=0), strict=True)):
        spread = math.sqrt(0.09 / 30 * (1 / rows + 1 / (1.5 * rows)))
        assert share == pytest.approx(0.9 + 0.5 / rows, abs=4 * spread + 0.5 / rows), of
    assert np.mean(plain) < 0.87


def test_a_class_of_too_few_rows_is_refused_by_name():
    labels, outputs = drawn(np.random.default_rng(1), 40)
    with pytest.raises(BadData, match=r"labelled rows of class 'rare' cannot promise that 0.9"):
        fit(Lac(classes=("a", "b", "rare")), labels, outputs)


def test_intervals_have_no_classes():
    with pytest.raises(BadData, match="use `mondrian_segment`"):
        fit(Absolute(), np.arange(20.0), {"prediction": np.zeros(20)})


def test_the_plan_makes_it_again_and_the_promise_is_told_by_class():
    fitted = fit(Lac(classes=("a", "b", "c")), *drawn(np.random.default_rng(2), 400))
    assert wrapper.make(write_plan(fitted)) == fitted
    assert [(one.where, one.n) for one in promised(fitted)] == list(zip("abc", fitted.rows, strict=True))


def test_thresholds_for_another_number_of_classes_are_refused():
    with pytest.raises(SpecError, match="`thresholds` has 2 numbers and the model answers 3"):
        MondrianClass("lac", (0.5, 0.5)).on_outputs({"probabilities": np.full((2, 3), 1 / 3)})


def test_a_plan_that_makes_no_sets_is_refused():
    with pytest.raises(SpecError, match="`leaf` must make prediction sets or intervals"):
        MondrianClass("calibrated", (0.5, 0.5)).on_outputs({"probability": np.full(2, 0.5)})
