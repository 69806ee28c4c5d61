"""What is fitted together holds together: sets keep their promise after a calibration that makes many rows alike."""

from __future__ import annotations

from random import Random

import numpy as np
import pytest

from roadworthy.core.errors import BadData, SpecError
from roadworthy.core.spec import Application, Field
from roadworthy.serve.base import wrapper
from roadworthy.serve.honesty import Rows, Wanted, fit_all

BINARY = Application("a", "binary", {"x": Field()}, output="probability")
NUMBER = Application("a", "regression", {"x": Field()}, output="prediction")


def drawn(rng, n):
    """Probabilities in the 32 bits in which a model answers, far from what comes true."""
    p = rng.random(n).astype(np.float32)
    return p, (rng.random(n) < 0.5 * p + 0.1).astype(np.float64)


@pytest.mark.parametrize("method", ["histogram", "isotonic", "calibrated"])
def test_sets_around_a_calibration_of_steps_hold_the_truth_as_often_as_promised(method):
    rng, held = np.random.default_rng(0), []
    p, y = drawn(rng, 6000)
    for seed in range(6):
        found = fit_all(BINARY, Rows(y, p.astype(np.float64)), Wanted((method,), 0.8), Random(seed))
        asked, truth = drawn(rng, 4000)
        outputs = {"probability": asked}
        for plan in reversed(found.plans):
            outputs = wrapper.make(plan).on_outputs(outputs)
        sets = outputs["prediction_set"]
        held.append(np.mean([str(int(one)) in names for one, names in zip(truth, sets, strict=True)]))
    # A threshold from 2,000 rows moves the coverage by 0.009, the rows asked about move it by 0.006.
    assert min(held) > 0.8 - 4 * 0.011
    assert np.mean(held) > 0.8 - 4 * 0.011 / 6**0.5


def test_a_model_that_answers_in_64_bits_keeps_them():
    rng = np.random.default_rng(1)
    p = rng.random(600)
    y = (rng.random(600) < p).astype(np.float64)
    (plan,) = fit_all(BINARY, Rows(y, p), Wanted(("calibrated",), 0.9), Random(0)).plans
    threshold = wrapper.make(plan).threshold
    assert threshold != float(np.float32(threshold))
    p[3], y[3] = 1e308, 1.0
    with pytest.raises(BadData, match=r"does not hold probabilities|a number from 0 to 1"):
        fit_all(BINARY, Rows(y, p), Wanted(cover=0.9), Random(0))


@pytest.mark.parametrize(
    ("asked", "sets", "said"),
    [
        (BINARY, "absolute", "'absolute' makes intervals of a number, and the task is binary: take lac"),
        (NUMBER, "aps", "'aps' makes sets of classes, and the task is regression: take absolute"),
        (BINARY, "weighted", r"what makes sets of a threshold \(lac, aps, raps, absolute\): wrapper 'weighted'"),
        (BINARY, "cache", "got 'cache'"),
        (BINARY, "lacc", "did you mean 'lac'"),
    ],
)
def test_sets_of_another_task_are_refused(asked, sets, said):
    rng = np.random.default_rng(2)
    p, y = drawn(rng, 300)
    with pytest.raises(SpecError, match=said):
        fit_all(asked, Rows(y, p.astype(np.float64)), Wanted(("calibrated",), 0.9, sets), Random(0))


@pytest.mark.parametrize("delta", [0.0, 1.0, 2.0, float("nan")])
def test_a_chance_to_fail_that_is_none_is_refused(delta):
    with pytest.raises(ValueError, match="`delta` is a chance between 0 and 1"):
        Wanted(risk=0.1, delta=delta)
