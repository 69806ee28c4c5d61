from __future__ import annotations

from random import Random

import msgspec
import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.record import Record
from roadworthy.core.window import Window
from roadworthy.core.wire import Step
from roadworthy.serve.selective.figures import Reading, figures
from roadworthy.serve.selective.report import SelectiveReport, lines, report


def window(n: int, error: float = 0.1, flag: float = 0.0) -> Window:
    """Sureness uniform in 0.5 to 1; a row is wrong with probability 2 * error * (1 - sureness) * 2."""
    rng = np.random.default_rng(0)
    rows = []
    for k in range(n):
        p = float(rng.uniform(0.5, 1))
        label = float(rng.random() >= 4 * error * (1 - p))
        path = (Step("abstain", "too unsure"),) if p <= flag else ()
        rows.append(Record(str(k), float(k), "r", "stable", {}, {"probability": p}, p, path=path, label=label))
    return Window.of_all(rows)


def test_it_says_what_a_threshold_buys_and_which_one_is_safe() -> None:
    found = report(window(4000), Reading(), 0.06, 0.1, Random(0))
    told = "\n".join(lines(found))
    assert found.certified is not None
    assert f"threshold {found.certified.threshold:.6g}: errors at most 0.06 of what is answered" in told
    assert "100.0%" in told
    assert "AUROC 0.6" in told


def test_it_goes_to_json_and_back() -> None:
    served = (figures(window(300, flag=0.7), Reading(), where="May"),)
    found = report(window(2000), Reading(), 0.06, 0.1, Random(0), served)
    assert msgspec.json.decode(msgspec.json.encode(found), type=SelectiveReport) == found


def test_where_no_threshold_is_safe_the_curve_is_there_and_the_reason() -> None:
    found = report(window(500), Reading(), 0.001, 0.1, Random(0))
    assert found.certified is None
    assert "needs at least 2302 labelled rows" in lines(found)[-1]
    assert found.curve.points


def test_what_was_served_is_held_against_the_risk_that_was_promised() -> None:
    kept = figures(window(2000, 0.02, flag=0.7), Reading(), where="May")
    broken = figures(window(2000, 0.3, flag=0.7), Reading(), where="June")
    found = report(window(2000), Reading(), 0.08, 0.1, Random(0), (kept, broken))
    assert [verdict.decision for verdict in found.verdicts] == ["pass", "fail"]
    assert all(one.low < one.value < one.high for verdict in found.verdicts for one in verdict.evidence)
    told = lines(found)
    assert "May: 2,000 rows" in told
    assert any(line.strip().startswith("override_rate ") and "unknown" in line for line in told)
    assert any(line.startswith("fail: risk_answered on June") for line in told)


def test_rows_without_a_label_are_left_out_and_counted() -> None:
    some = window(1000)
    labels = some.labels.copy()
    labels[:400] = np.nan
    partly = Window(some.inputs, some.outputs, labels, some.at, confidence=some.confidence)
    found = report(partly, Reading(), 0.2, 0.1, Random(0))
    assert (found.unlabelled, found.curve.aurc.n) == (400, 600)
    assert any("400 records have no label" in line for line in lines(found))
    nothing = Window(some.inputs, some.outputs, np.full(1000, np.nan), some.at, confidence=some.confidence)
    with pytest.raises(BadData, match="none of 1000 records has a label"):
        report(nothing, Reading(), 0.2, 0.1, Random(0))
