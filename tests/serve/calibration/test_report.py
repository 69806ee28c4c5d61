from __future__ import annotations

from io import StringIO

import msgspec
import numpy as np
import pytest
from rich.console import Console
from scipy.special import softmax

from roadworthy.core.errors import BadData
from roadworthy.serve.base import wrapper
from roadworthy.serve.calibration.report import CalibrationReport, changes, measured, report
from roadworthy.serve.calibration.report_text import report_text
from roadworthy.serve.wrappers.calibrated import Calibrated


def rows(n=1500, spoil=None, seed=0):
    rng = np.random.default_rng(seed)
    p = rng.uniform(0.02, 0.98, n)
    return (rng.random(n) < (spoil or Calibrated()).calibrate(p)).astype(float), p


def text(found):
    console = Console(width=160, file=StringIO())
    console.print(report_text(found))
    return console.file.getvalue()


def test_before_and_after_stand_beside_each_other_with_the_plan():
    y, p = rows(spoil=Calibrated(0.4, -0.5))
    found = report(y, p, rng=np.random.default_rng(0))
    assert found.before.of("debiased_ece").low > 0.05
    assert found.after.of("debiased_ece").value < 0.03
    assert found.before.brier.reliability.low > 0.01 > found.after.brier.reliability.value
    assert all(one.low > 0 for one in found.gains)
    assert (found.by_fold, changes(found)) == (("calibrated",) * 5, True)
    made = wrapper.make(found.choice.plan)
    assert (made.slope, made.intercept) == (pytest.approx(0.4, abs=0.08), pytest.approx(-0.5, abs=0.15))
    assert msgspec.json.decode(msgspec.json.encode(found), type=CalibrationReport) == found
    told = text(found)
    assert "1,500 labelled rows" in told
    assert 'plan: {"calibrated":{"slope":' in told
    assert "better than none" in told


def test_after_is_never_measured_on_rows_that_were_fitted_on():
    rng = np.random.default_rng(1)
    y, p = (rng.random(600) < 0.5).astype(float), rng.random(600)
    found = report(y, p, methods=("isotonic",), rng=rng)
    # Nothing in p tells of y: in-sample steps would score below the base rate's quarter.
    assert found.after.brier.score.value > 0.2499
    assert found.after.log_loss.value > 0.693


def test_where_nothing_is_wrong_nothing_is_changed():
    found = report(*rows(400))
    assert (found.choice.taken, found.choice.plan, changes(found)) == ("none", None, False)
    assert "plan: none: leave the answers as they are" in text(found)


def test_several_classes_are_told_by_the_likeliest_and_by_each():
    rng = np.random.default_rng(0)
    scores = rng.normal(0, 2, (1200, 3))
    y = np.array([rng.choice(3, p=p) for p in softmax(scores, axis=1)])
    found = report(y, scores * 2.5, "multiclass", of="logits", rng=rng)
    assert found.choice.taken == "temperature"
    assert found.before.of("top_label_ece").low > 0.05 > found.after.of("top_label_ece").value
    assert found.before.of("classwise_ece").value > found.after.of("classwise_ece").value
    assert sum(each.rate.n for each in found.after.diagram) == 1200
    assert "error of the likeliest class" in text(found)


def test_few_rows_are_measured_as_far_as_they_go_and_fewer_are_refused():
    found = measured(*rows(45))
    assert (found.of("debiased_ece").n, found.brier.score.n, len(found.diagram)) == (45, 45, 2)
    with pytest.raises(BadData, match="needs 40 labelled rows, got 30"):
        report(*rows(30))
