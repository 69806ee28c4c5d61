"""What a gap report holds beside claim, lab and production: repairs, edges, crowds, causes, limits, cold starts."""

from __future__ import annotations

import asyncio
import math
import os
from dataclasses import replace

import numpy as np
import pytest

from roadworthy.core.measure import Claim, Requirement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Application, Cost, Field
from roadworthy.core.wire import Response, Tensor
from roadworthy.evaluate.base import edge, repair
from roadworthy.evaluate.corruptions.respelt import Respelt
from roadworthy.evaluate.gap import Effort, gap
from roadworthy.evaluate.operation import slo_of
from roadworthy.evaluate.process.cold_start import cold_start
from roadworthy.evaluate.reports.report import read_json, write_json

NONE = Effort(edges=False, load_seconds=0.0, search_seconds=0.0, crowd_rows=0, starts=0, slice_rows=100)
INPUTS = {"town": Field("category", values=("north", "south")), "heat": Field(low=-50.0, high=60.0)}


def application(*requirements):
    return Application("fires", "binary", INPUTS, requirements=requirements)


def fires(n=3000, seed=0, ward_b_errors=0.0):
    """Fires come in the heat of the north; `ward_b_errors` is how often the outcome in ward b is a coin's."""
    rng = np.random.default_rng(seed)
    town, heat = rng.choice(np.array(["north", "south"], dtype=object), n), rng.normal(20, 10, n)
    likely = 1 / (1 + np.exp(-(heat - 20) / 4 - np.where(town == "north", 1.5, -1.5)))
    ward = rng.choice(np.array(["a", "b", "c"], dtype=object), n)
    labels = (rng.random(n) < likely).astype(np.float64)
    coin = (ward == "b") & (rng.random(n) < ward_b_errors)
    labels = np.where(coin, 1 - labels, labels)
    return Sample({"town": town, "heat": heat}, labels=labels, tags={"ward": ward}, source="made up", digest="d" * 64)


async def knows(request):
    """The model that made the labels; a town that it has not heard of is neither north nor south."""
    town, heat = (np.asarray(request.inputs[name].data) for name in ("town", "heat"))
    add = np.where(town == "north", 1.5, np.where(town == "south", -1.5, 0.0))
    p = 1 / (1 + np.exp(-(heat.astype(np.float64) - 20) / 4 - add))
    return Response(request.id, {"probability": Tensor("probability", "FP64", (len(p),), p)})


def measured(handler=knows, *, effort=NONE, requirements=(), production=None, **more):
    return gap(handler, application(*requirements), fires(), production or fires(seed=1), effort=effort, **more)


def test_a_corruption_that_hurts_comes_with_the_repair_that_gives_everything_back():
    repairs = {name: repair.make(name) for name in repair}
    report = measured(corruptions=[Respelt(form="upper")], repairs=repairs, effort=replace(NONE, severities=(0.4, 1.0)))
    best = next(one for one in report.repairs if one.name == "vocabulary")
    assert (best.of, best.severity) == ("respelt upper", 1.0)
    assert best.change.value == report.repairs[0].change.value
    assert best.mended.value == next(m for m in report.production if m.name == best.mended.name).value
    assert best.change.low > 0
    assert best.clean.value == 0.0
    assert best.plan == {"vocabulary": {"values": {"town": ["north", "south"]}}}
    assert all(one.change.low > 0 for one in report.repairs)


def test_what_hurts_nobody_is_not_mended():
    report = measured(corruptions=[Respelt(columns=("elsewhere",))], repairs={"vocabulary": repair.make("vocabulary")})
    assert report.repairs == ()


def test_a_claim_that_fails_for_its_data_is_told_the_cause():
    blank = replace(fires(), columns={**fires().columns, "town": np.array([f" {t}" for t in fires().columns["town"]])})
    blank = replace(blank, columns={**blank.columns, "town": blank.columns["town"].astype(object)})
    repairs = {"vocabulary": repair.make("vocabulary"), "whitespace": repair.make("whitespace")}
    honest = measured().lab[0].value
    found = gap(
        knows, application(), blank, fires(seed=1), claims=[Claim("auc", honest, 0.005)], repairs=repairs, effort=NONE
    )
    told = found.reproductions[0]
    assert told.outcome == "not reproduced"
    assert told.cause is not None
    assert told.cause.kind == "preprocessing"
    assert told.cause.measured.value == pytest.approx(honest)


def test_a_claim_about_what_nothing_measures_is_not_comparable():
    told = measured(claims=[Claim("wer", 0.1)]).reproductions[0]
    assert told.outcome == "not comparable"


def test_a_part_that_is_worse_is_found_and_an_even_sample_has_none():
    weak = measured(production=fires(6000, 1, ward_b_errors=0.5)).weak
    assert weak[0].where == "ward=b"
    assert weak[0].loss.low > weak[0].elsewhere.high
    even = measured(production=fires(6000, 1)).weak  # some heats are harder than others for anybody
    assert not [part for part in even if "ward" in part.where]


def test_edges_are_asked_and_a_crash_is_in_the_report():
    edges = {name: edge.make(name) for name in ("extreme_numbers", "odd_categories")}
    asked = measured(effort=replace(NONE, edges=True), edges=edges).edges
    assert asked is not None
    assert {m.where for m in asked.measured} == {"", *edges}

    async def fragile(request):
        if any(math.isinf(v) for v in np.asarray(request.inputs["heat"].data, np.float64)):
            raise ZeroDivisionError("heat")
        return await knows(request)

    broken = measured(fragile, effort=replace(NONE, edges=True), edges=edges).edges
    assert any("ZeroDivisionError" in run.because for run in broken.wrong)
    assert broken.measured[0].value < asked.measured[0].value


def test_a_crowd_that_is_answered_worse_shows_in_what_is_effective():
    flying = 0

    async def crowded(request):
        nonlocal flying
        flying += 1
        try:
            many = flying > 8
            await asyncio.sleep(0.001)
            response = await knows(request)
            if many:
                response = Response(
                    request.id, {"probability": Tensor("probability", "FP64", (request.n,), np.full(request.n, 0.5))}
                )
            return response
        finally:
            flying -= 1

    effort = replace(NONE, crowd_rows=200)
    alone, worse = measured(effort=effort), measured(effort=effort, served=crowded)
    assert alone.under_load.verdict.decision != "fail"
    assert worse.under_load.verdict.decision == "fail"
    assert [rung.kind for rung in worse.waterfall[2:4]] == ["under load", "effective"]
    assert worse.effective.high < alone.effective.value
    assert {one.name for one in alone.equalities} >= {"asked twice", "order of rows in batches of 32"}


def test_the_largest_rate_is_within_what_is_required_and_costs_by_it():
    effort = replace(NONE, load_seconds=0.3, search_seconds=0.2, search_repeats=1, rate=100)

    async def slow(request):
        await asyncio.sleep(0.002)
        return await knows(request)

    required = Requirement("p99_ms", at_most=200.0, unit="ms")
    report = measured(slow, effort=effort, requirements=[required], cost=Cost(1.0, 0.5))
    assert report.search is not None
    assert "p99_ms at most 200 ms" in report.search.max_rate.conditions["under"]
    if report.search.max_rate.n:
        assert report.cost.value == pytest.approx(1.0 / 3.6 / (0.5 * report.search.max_rate.value))


def test_an_application_that_says_nothing_of_latency_has_a_usual_limit():
    assert [str(one) for one in slo_of(())] == ["p99_ms at most 1000 ms", "error_rate at most 0.01"]
    mine = (Requirement("p95_ms", at_most=50.0), Requirement("auc", at_least=0.7))
    assert [str(one) for one in slo_of(mine)] == ["p95_ms at most 50 ms", "error_rate at most 0.01"]


def test_cold_starts_and_memory_stand_in_the_report_and_survive_its_json():
    child = ["python", "-c", 'print(\'{"stage": "load"}\'); [print(\'{"answer": 0.001}\') for _ in range(12)]']
    report = measured(
        effort=replace(NONE, load_seconds=0.2, rate=50),
        served_pid=os.getpid(),
        cold=lambda: cold_start(child, repeats=2),
        requirements=[Requirement("ready_ms", at_most=60_000.0, unit="ms")],
    )
    assert [stage.where for stage in report.cold.stages][:1] == ["load"]
    assert report.memory.peak.value > 1e6
    assert report.verdicts[0].evidence[0].name == "ready_ms"
    assert write_json(read_json(write_json(report))) == write_json(report)


@pytest.mark.parametrize(
    ("lab", "production"),
    [
        (fires().take(slice(0, 2)), fires().take(slice(2, 4))),
        (fires(), fires().take(slice(0, 0))),
        (fires().take(fires().labels == 1), fires().take(fires().labels == 1)),
        (fires(), replace(fires(seed=1), labels=None)),
    ],
    ids=["two rows", "no production", "one class", "no labels"],
)
def test_where_nothing_can_be_said_the_report_waits_and_stands(lab, production):
    asked, claim = application(Requirement("auc", at_least=0.7)), Claim("auc", 0.9, 0.02)
    repairs, effort = {"vocabulary": repair.make("vocabulary")}, replace(NONE, crowd_rows=20)
    corruptions = [Respelt(form="upper")]
    report = gap(knows, asked, lab, production, claims=[claim], corruptions=corruptions, repairs=repairs, effort=effort)
    assert [verdict.decision for verdict in report.verdicts] == ["wait"]
    assert report.effective is None
    assert write_json(read_json(write_json(report))) == write_json(report)
