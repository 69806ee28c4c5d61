from __future__ import annotations

import numpy as np
import pytest

from roadworthy.core.profile import Reference
from roadworthy.core.window import Window
from roadworthy.observe.detectors.calibration import Calibration


def window(n, off=0.0, seed=0, labelled=1.0, outputs=None):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.2, 0.7, n)
    labels = (rng.random(n) < p - off).astype(float)
    labels[rng.random(n) >= labelled] = np.nan
    return Window({}, {"probability": p} if outputs is None else outputs, labels, np.zeros(n))


REFERENCE = Reference.of(window(1000, seed=9))


def test_probabilities_that_come_true_are_calm():
    verdict = Calibration()(REFERENCE, window(5000))
    assert verdict.decision == "pass"
    assert [m.name for m in verdict.evidence] == ["ece", "gap", "rate"]


def test_a_base_rate_that_falls_is_an_alarm():
    verdict = Calibration()(REFERENCE, window(1500, off=0.15))
    assert verdict.decision == "fail"
    assert "rate of label 1 0.3" in verdict.because
    assert "in the reference" in verdict.because


def test_a_gap_within_the_bound_is_no_alarm_however_many_rows():
    assert Calibration()(REFERENCE, window(50_000, off=0.04)).decision == "pass"
    assert Calibration(at_most=0.02)(REFERENCE, window(50_000, off=0.04)).decision == "fail"


def test_wrong_both_ways_is_found_though_the_mean_is_right():
    rng = np.random.default_rng(1)
    p = np.where(rng.random(4000) < 0.5, 0.1, 0.9)
    labels = (rng.random(4000) < np.where(p > 0.5, 0.7, 0.3)).astype(float)
    verdict = Calibration()(REFERENCE, Window({}, {"probability": p}, labels, np.zeros(4000)))
    ece, gap, _ = verdict.evidence
    assert verdict.decision == "fail"
    assert abs(gap.value) < 0.05 < ece.low


def test_waits_until_enough_labels_are_known():
    verdict = Calibration(least_rows=200)(REFERENCE, window(1000, off=0.2, labelled=0.1))
    assert verdict.decision == "wait"
    assert "of 200 labels are known" in verdict.because


def test_rows_without_a_probability_do_not_count():
    current = window(1000)
    current.outputs["probability"][:] = np.nan
    assert Calibration()(REFERENCE, current).decision == "wait"


def test_needs_no_reference():
    nothing = Reference({}, {}, np.empty(0), np.empty(0))
    verdict = Calibration()(nothing, window(1500, off=0.15))
    assert verdict.decision == "fail"
    assert "reference" not in verdict.because


def test_the_output_is_named_where_there_are_several():
    good = window(1500)
    both = Window({}, {"score": 1 - good.outputs["probability"], **good.outputs}, good.labels, good.at)
    assert "no output that is the only one (there are: score, probability)" in Calibration()(REFERENCE, both).because
    assert Calibration(output="probability")(REFERENCE, both).decision == "pass"
    assert Calibration(output="score")(REFERENCE, both).decision == "fail"
    assert "no output 'scores'" in Calibration(output="scores")(REFERENCE, both).because


def test_outcomes_that_are_not_yes_or_no_are_not_judged():
    current = window(1000)
    current.labels[:] = 3.5
    assert "neither 0 nor 1" in Calibration()(REFERENCE, current).because


@pytest.mark.parametrize(("wrong", "told"), [({"alpha": 2.0}, "alpha"), ({"bins": 200}, "2 rows a bin")])
def test_impossible_settings_are_refused(wrong, told):
    with pytest.raises(ValueError, match=told):
        Calibration(**wrong)


@pytest.mark.parametrize("n", [200, 1000])
def test_false_alarms_at_the_bound_stay_within_alpha(n):
    detector = Calibration(alpha=0.05, at_most=0.05)
    alarms = sum(detector(REFERENCE, window(n, off=0.05, seed=seed)).decision == "fail" for seed in range(300))
    # 15 are expected at most; 30 would be four standard deviations more.
    assert alarms <= 30
