"""A gap report knows what the model knows of itself, of one model and of a cascade of two."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from msgspec.structs import replace as changed

from roadworthy.core.measure import Requirement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Application, Cost, Field
from roadworthy.core.wire import Response, Step, Tensor
from roadworthy.evaluate.gap import Effort, gap
from roadworthy.evaluate.reports.baseline import against_baseline
from roadworthy.evaluate.reports.report import read_json, write_json
from roadworthy.route.answering.levels import Level
from roadworthy.route.policies.cascade import Cascade
from roadworthy.testing.certain_reports import with_certainty
from roadworthy.testing.reports import rich_report

NONE = Effort(edges=False, load_seconds=0.0, search_seconds=0.0, crowd_rows=0, starts=0)
INPUTS = {"x": Field()}


def rows(n=3000, seed=0):
    """What comes true with the logistic probability of x."""
    x = np.random.default_rng(seed).normal(0, 2, n)
    chance = 1 / (1 + np.exp(-x))
    labels = (np.random.default_rng(seed + 100).random(n) < chance).astype(np.float64)
    return Sample({"x": x}, labels=labels, source="drawn", digest=f"{seed:064x}")


def model(scale=1.0, **more):
    async def answer(request):
        x = np.asarray(request.inputs["x"].data, np.float64)
        p = 1 / (1 + np.exp(-scale * x))
        outputs = {"probability": Tensor("probability", "FP64", (len(p),), p.tolist())}
        told = {name: make(x) for name, make in more.items()}
        return Response(request.id, outputs, **told)

    return answer


def measured(handler, *requirements, task="binary", lab=None, production=None, **more):
    asked = Application("drawn", task, INPUTS, requirements=requirements)
    return gap(handler, asked, lab or rows(), production or rows(seed=1), effort=NONE, **more)


def sets(x):
    return [["0", "1"] if abs(v) < 2 else ["1"] if v > 0 else ["0"] for v in x]


def test_calibration_doubt_and_flagging_may_be_required():
    report = measured(
        model(),
        Requirement("debiased_ece", at_most=0.05),
        Requirement("aurc", at_most=0.2),
        Requirement("accuracy_answered", at_least=0.99, where="surest 95 %"),
        Requirement("accuracy_answered", at_least=0.7, where="surest 80 %"),
        Requirement("accuracy_answered", at_least=0.7),
    )
    assert [v.decision for v in report.verdicts] == ["pass", "pass", "fail", "pass", "wait"]
    assert [one.where for one in report.certainty] == ["lab", "production"]
    assert report.answered_by == ()


def test_a_requirement_judges_production_and_not_the_lab():
    broken = replace(rows(seed=1), labels=1 - rows(seed=1).labels)
    report = measured(model(), Requirement("debiased_ece", at_most=0.05), production=broken)
    assert report.certainty[0].errors[0].high < 0.05
    assert report.verdicts[0].decision == "fail"


@pytest.mark.parametrize(("more", "target"), [({}, 0.8), ({"target": 0.9}, 0.9)])
def test_coverage_is_set_against_what_is_promised_or_required(more, target):
    report = measured(model(prediction_set=sets), Requirement("coverage", at_least=0.8), **more)
    held = report.certainty[1].held
    assert held.target == target
    assert held.verdict.decision == "pass"
    assert report.verdicts[0].evidence[0] == held.coverage


def test_a_table_without_labels_says_why_it_is_silent():
    report = measured(model(), production=replace(rows(seed=1), labels=None))
    lab, production = report.certainty
    assert lab.curve is not None
    assert (production.rows, production.curve) == (0, None)
    assert production.unsaid[0] == "no row has both a label and an answer"
    assert write_json(read_json(write_json(report))) == write_json(report)


def test_the_intervals_of_a_regression_are_measured():
    async def interval(request):
        x = np.asarray(request.inputs["x"].data, np.float64)
        ends = {"probability": x, "low": x - 2, "high": x + 2}
        return Response(request.id, {k: Tensor(k, "FP64", (len(v),), v.tolist()) for k, v in ends.items()})

    noisy = replace(rows(), labels=rows().columns["x"] + np.random.default_rng(9).normal(size=3000))
    report = measured(interval, Requirement("coverage", at_least=0.9), task="regression", lab=noisy, production=noisy)
    held = report.certainty[1].held
    assert held.coverage.value == pytest.approx(0.954, abs=0.012)
    assert held.size.value == pytest.approx(4.0)
    assert report.verdicts[0].decision == "pass"


def cascade(**prices):
    policy = Cascade((Level("small", low=0.2, high=0.8), Level("large")), audit=0.2, usd_per_1k=prices, seed=3)
    return policy({"small": model(0.8), "large": model(1.0)})


def test_a_cascade_tells_who_answered_and_what_that_cost():
    report = measured(
        cascade(small=1.0, large=100.0),
        Requirement("escalation_share", at_most=0.99),
        Requirement("accuracy", at_least=0.85, where="answered by small"),
        Requirement("usd_per_row", at_most=0.09),
        Requirement("usd_per_1k", at_most=90.0),
        cost=Cost(1.0),
    )
    by = report.answered_by[1]
    small, large = by.members
    assert (small.name, large.name, by.where) == ("small", "large", "production")
    x = rows(seed=1).columns["x"]
    kept = np.abs(0.8 * x) >= np.log(4)
    assert small.share.value == pytest.approx(kept.mean())
    assert by.escalation.value == pytest.approx(1 - kept.mean())
    assert by.agreement.value == 1.0  # both models decide by the sign of x
    assert by.agreement.n == pytest.approx(0.2 * kept.sum(), rel=0.3)
    audits = by.agreement.n / by.rows
    assert by.usd_per_row.value == pytest.approx(0.001 + 0.1 * (by.escalation.value + audits))
    assert report.cost.value == pytest.approx(1000 * by.usd_per_row.value)
    assert [v.decision for v in report.verdicts] == ["pass"] * 4
    assert write_json(read_json(write_json(report))) == write_json(report)


def test_a_router_that_asks_both_now_and_then_tells_how_often_they_agree():
    async def routed(request):
        x = np.asarray(request.inputs["x"].data, np.float64)
        both = np.arange(len(x)) % 4 == 0
        cheap = np.where(both, 1 / (1 + np.exp(-x - 1)), np.nan)
        outputs = {"probability": 1 / (1 + np.exp(-x)), "small.probability": cheap}
        spared = Step("router", "gain 0", 0.0, 1e-5), Step("small", "gain 0", 0.001, 0.1)
        audit = Step("large", "comparison: gain 0", 0.02, 0.5)
        ways = [(*spared, *([audit] if one else [])) for one in both]
        tensors = {k: Tensor(k, "FP64", (len(v),), v.tolist()) for k, v in outputs.items()}
        return Response(request.id, tensors, paths=ways, usd=0.001 * len(x) + 0.02 * both.sum())

    by = measured(routed, members=("small", "large")).answered_by[1]
    x = rows(seed=1).columns["x"]
    asked = np.concatenate([np.arange(len(part)) % 4 == 0 for part in np.split(x, range(256, 3000, 256))])
    assert by.agreement.n == asked.sum()
    assert by.agreement.value == pytest.approx(1 - ((x > -1) & (x < 0))[asked].mean())
    assert by.escalation.value == 0.0


def test_the_order_of_the_models_may_be_given():
    by = measured(cascade(), members=("large", "small")).answered_by[0]
    assert [one.name for one in by.members] == ["large", "small"]
    assert by.escalation.value == 1.0  # as if the large one were the cheapest, beyond which every row was sent


def test_a_report_from_before_can_still_be_read_and_compared():
    new = with_certainty(rich_report())
    older = json.loads(write_json(new))
    del older["certainty"], older["answered_by"]
    read = read_json(json.dumps(older).encode())
    assert (read.certainty, read.answered_by) == ((), ())
    told = against_baseline(new, read)
    assert told.verdict.decision == "pass"
    assert any(line.endswith("numbers of kind 'certainty'") for line in told.differs)
    assert any(line.endswith("numbers of kind 'who answered'") for line in told.differs)


def test_what_became_worse_in_certainty_is_named_and_coverage_has_no_better():
    honest, loud = (measured(model(scale, prediction_set=sets), metrics=None) for scale in (1.0, 4.0))
    told = against_baseline(loud, honest)
    worse = {(m.kind, m.where, m.after.name) for m in told.of("worse")}
    assert ("certainty", "production", "debiased_ece") in worse
    assert ("certainty", "lab", "brier") in worse
    assert not [m for m in told.moved if m.after.name in ("coverage", "set_size")]
    assert ("certainty", "production, surest 95 %") in {(m.kind, m.where) for m in told.of("same")}


def test_a_price_of_another_kind_is_not_compared():
    report = rich_report()
    other = changed(report, cost=changed(report.cost, value=9.0, low=8.0, high=10.0, conditions={"models": "theirs"}))
    moved = next(m for m in against_baseline(other, report).moved if m.kind == "cost")
    assert (moved.standing, moved.because[:16]) == ("undecided", "priced otherwise")
