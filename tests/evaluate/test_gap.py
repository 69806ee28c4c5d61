from __future__ import annotations

import math
import runpy
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import numpy as np
import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.measure import Claim, Measurement, Requirement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Application, Cost, Signature
from roadworthy.core.wire import Handler, Request, Response
from roadworthy.evaluate.base import Corruption
from roadworthy.evaluate.corruptions.blank import Blank
from roadworthy.evaluate.corruptions.null_column import NullColumn
from roadworthy.evaluate.corruptions.unit import Unit
from roadworthy.evaluate.corruptions.unseen import Unseen
from roadworthy.evaluate.gap import Effort, gap
from roadworthy.evaluate.metrics.mae import Mae
from roadworthy.evaluate.reports.report import GapReport, read_json, write_json
from roadworthy.evaluate.spoils import called, changed_rows

delays = runpy.run_path(str(Path(__file__).with_name("conftest.py")))["delays"]
CORRUPTIONS: list[Corruption] = [
    Blank(("heat",), called="missing weather"),
    Unit(("heat",), 5 / 9, -160 / 9, called="Celsius"),
    Unseen(("elsewhere",)),
]
QUICK = Effort(load_seconds=0.0, severities=(1.0,), corrupted_rows=20_000, crowd_rows=0, search_seconds=0.0)


def application(signature: Signature, *requirements: Requirement, task: Any = "binary") -> Application:
    return Application("delays", task, signature.inputs, "ops", "is it late", requirements=requirements)


def measure(handler: Handler, signature: Signature, *requirements: Requirement, **more: Any) -> GapReport:
    lab, production = more.pop("lab", delays(3000, 0)), more.pop("production", delays(6000, 1, noise=0.4))
    return gap(handler, application(signature, *requirements), lab, production, **{"effort": QUICK, **more})


def value(found: tuple[Measurement, ...], name: str) -> Measurement:
    return next(m for m in found if m.name == name)


def test_the_claim_holds_in_the_lab_and_not_in_production(handler: Handler, signature: Signature) -> None:
    report = measure(handler, signature, claims=[Claim("auc", 0.76, 0.02)])
    assert [r.outcome for r in report.reproductions] == ["reproduced"]
    assert value(report.lab, "auc").low > value(report.production, "auc").high
    assert [rung.kind for rung in report.waterfall[:3]] == ["claim", "lab", "production"]
    assert report.waterfall[2].start == value(report.lab, "auc").value


def test_every_corruption_is_paired_with_the_rows_as_they_came(handler: Handler, signature: Signature) -> None:
    report = measure(handler, signature, corruptions=CORRUPTIONS, production=delays(6000, 1))
    missing, celsius, nowhere = report.spoilt
    assert (missing.name, missing.changed) == ("missing weather", 6000)
    assert missing.change.high < -0.05
    assert celsius.flips.broken > celsius.flips.fixed
    assert celsius.flips.p < 0.001
    assert (nowhere.changed, nowhere.change.value, nowhere.flips.p) == (0, 0.0, 1.0)


def test_the_waterfall_shows_where_a_corruption_moves_most(handler: Handler, signature: Signature) -> None:
    effort = replace(QUICK, severities=(0.5, 1.0))
    report = measure(handler, signature, corruptions=CORRUPTIONS[1:2], effort=effort)
    assert report.waterfall[-1].name == "Celsius at 0.5"
    assert report.waterfall[-1].start == pytest.approx(value(report.production, "auc").value, abs=1e-9)


def test_months_and_tags_are_slices(handler: Handler, signature: Signature) -> None:
    names = [part.where for part in measure(handler, signature).slices]
    plain = [name for name in names if name.startswith(("month", "origin"))]
    assert plain == ["month=2013-06", "month=2013-07", "origin=JFK", "origin=LGA"]
    assert len([name for name in names if name.startswith(("hour", "weekday"))]) > 7


def test_a_planted_bad_slice_is_found(handler: Handler, signature: Signature) -> None:
    production = delays(6000, 1)
    bad = production.tags["origin"] == "JFK"
    assert production.labels is not None
    labels = np.where(bad, 1 - production.labels, production.labels)
    report = measure(handler, signature, production=replace(production, labels=labels))
    worst = min(report.slices, key=lambda part: value(part.measured, "auc").value)
    assert worst.where == "origin=JFK"


def test_requirements_are_judged_on_the_whole_and_on_slices(handler: Handler, signature: Signature) -> None:
    report = measure(
        handler,
        signature,
        Requirement("auc", at_least=0.9),
        Requirement("auc", at_least=0.5, where="origin=JFK"),
        Requirement("auc", at_least=0.5, where="origin=SFO"),
        Requirement("log_loss", at_most=2.0),
        Requirement("p99_ms", at_most=50, unit="ms"),
    )
    assert [v.decision for v in report.verdicts] == ["fail", "pass", "wait", "pass", "wait"]
    assert report.decision == "fail"


def test_load_and_cost_are_measured_and_judged(handler: Handler, signature: Signature) -> None:
    report = measure(
        handler,
        signature,
        Requirement("error_rate", at_most=0.1),
        Requirement("throughput_rps", at_least=1, unit="rps"),
        Requirement("usd_per_1k", at_most=1, unit="usd"),
        effort=replace(QUICK, load_seconds=0.3, rate=150),
        cost=Cost(usd_per_hour=0.2),
    )
    assert report.load is not None
    assert report.load.rate == 150
    assert report.cost is not None
    assert report.cost.unit == "usd"
    decisions = [v.decision for v in report.verdicts]
    assert decisions[1:] == ["pass", "pass"]
    assert decisions[0] == ("pass" if report.load.valid else "wait")


def test_a_failing_handler_is_reported_row_by_row(handler: Handler, signature: Signature) -> None:
    async def flaky(request: Request) -> Response:
        if request.id == "production-0":
            raise TimeoutError("too slow")
        return await handler(request)

    report = measure(flaky, signature)
    assert [(f.where, f.because, f.rows) for f in report.failures] == [("production", "TimeoutError: too slow", 256)]
    assert value(report.production, "auc").n == 6000 - 256


def test_unlabelled_production_waits(handler: Handler, signature: Signature) -> None:
    production = replace(delays(500, 1), labels=None)
    report = measure(
        handler, signature, Requirement("auc", at_least=0.5), production=production, corruptions=CORRUPTIONS
    )
    assert report.decision == "wait"
    assert math.isnan(value(report.production, "auc").value)
    assert read_json(write_json(report)).decision == "wait"


def test_two_runs_agree_in_everything_but_time(handler: Handler, signature: Signature) -> None:
    corruptions = [*CORRUPTIONS, NullColumn()]
    one, two = (measure(handler, signature, corruptions=corruptions, now=7.0) for _ in range(2))
    assert one.seconds.keys() == two.seconds.keys()
    assert write_json(msgspec.structs.replace(one, seconds={})) == write_json(msgspec.structs.replace(two, seconds={}))


def test_the_report_survives_its_json(handler: Handler, signature: Signature) -> None:
    report = measure(
        handler,
        signature,
        Requirement("p99_ms", at_most=50, unit="ms"),
        claims=[Claim("auc", 0.76, 0.02)],
        corruptions=CORRUPTIONS,
        effort=replace(QUICK, load_seconds=0.05, rate=100),
    )
    again = read_json(write_json(report))
    assert write_json(again) == write_json(report)
    assert again.reproductions == report.reproductions
    assert math.isnan(again.waterfall[0].start)
    assert again.load is not None
    assert value(again.load.measured, "p99_ms").high == math.inf
    with pytest.raises(msgspec.ValidationError, match="headline"):
        read_json(write_json(report).replace(b'"headline"', b'"head"'))


def test_the_report_says_where_and_how_it_was_made(handler: Handler, signature: Signature) -> None:
    report = measure(handler, signature, effort=replace(QUICK, seed=11))
    assert report.settings["seed"] == 11
    assert report.settings["lab"] == {"source": "synthetic", "digest": "0" * 64, "rows": 3000, "labelled": 3000}
    assert report.environment["numpy"] == np.__version__


def test_each_step_is_told(handler: Handler, signature: Signature) -> None:
    heard: list[str] = []
    measure(handler, signature, corruptions=CORRUPTIONS[:1], tell=heard.append)
    steps = ["lab", "production", "certainty", "corruptions", "missing weather at 1", "edges", "operation"]
    assert heard == [*steps, "cold start"]


def test_a_claim_on_a_slice_is_compared_with_that_slice(handler: Handler, signature: Signature) -> None:
    report = measure(handler, signature, claims=[Claim("auc", 0.76, 0.03, where="origin=LGA")])
    assert report.reproductions[0].outcome == "reproduced"
    assert report.reproductions[0].measured.where == "origin=LGA"


def test_an_unknown_metric_is_refused_before_anything_runs(signature: Signature) -> None:
    async def never(request: Request) -> Response:
        raise AssertionError("asked")

    with pytest.raises(SpecError, match="no metric named 'acc_uracy'; did you mean 'accuracy'"):
        measure(never, signature, Requirement("acc_uracy", at_least=0.5))


def test_a_metric_for_another_task_is_refused(handler: Handler, signature: Signature) -> None:
    with pytest.raises(SpecError, match="is for regression, and the task is 'binary'"):
        measure(handler, signature, metrics=[Mae()])


def test_classes_must_be_named(handler: Handler, signature: Signature) -> None:
    with pytest.raises(SpecError, match=r"has classes: `classes` must name at least two"):
        gap(handler, application(signature, task="multiclass"), delays(10, 0), delays(10, 0))


def test_a_wrong_unit_is_named(handler: Handler, signature: Signature) -> None:
    with pytest.raises(SpecError, match="is in 'bits'; write `unit: nats`"):
        measure(handler, signature, Requirement("log_loss", at_most=1, unit="bits"))


def test_a_corruption_is_called_by_its_columns() -> None:
    assert called(Blank(("a", "b", "c", "d", "e"))) == "blank a, b, c and 2 more"
    assert called(NullColumn("a")) == "null column a"
    assert called(NullColumn()) == "null column"


def test_changed_rows_take_a_null_for_a_null() -> None:
    sample = Sample({"x": np.array([1.0, np.nan, 3.0]), "y": np.array(["a", None, "c"], dtype=object)})
    other = Sample({"x": np.array([1.0, np.nan, 4.0]), "y": np.array(["a", None, "d"], dtype=object)})
    assert changed_rows(sample, other) == 1
    assert changed_rows(sample, Sample({name: c.copy() for name, c in sample.columns.items()})) == 0
