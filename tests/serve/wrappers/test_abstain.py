"""Rows that the model is not sure of are marked, kept or withheld, or answered by a fallback; the others stay as is."""

from __future__ import annotations

import asyncio
import math
from pathlib import Path
from random import Random
from typing import Any

import msgspec
import numpy as np
import pytest
from msgspec.structs import replace

from roadworthy.core.catalog import write_plan
from roadworthy.core.errors import BadData, Missing, SpecError
from roadworthy.core.spec import Field, Signature
from roadworthy.core.window import Window
from roadworthy.core.wire import Handler, Request, Response, Step, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.fallback import Given
from roadworthy.serve.recorded import rows_of
from roadworthy.serve.selective.threshold import EVERYTHING, Certified
from roadworthy.serve.wrappers.abstain import Abstain, Abstaining, fit, of_certified

SIGNATURE = Signature({"x": Field()}, {"probability": Field()})
REQUEST = Request("r", {"x": Tensor("x", "FP32", (4, 1), [1.0, 2.0, 3.0, 4.0])}, 1.0)


async def model(request: Request) -> Response:
    """Sure by x / 4, costing a dollar for each four rows."""
    n, sure = request.n, [x / 4 for x in request.inputs["x"].data]
    outputs = {
        "probability": Tensor("probability", "FP64", (n,), [0.9] * n),
        "scores": Tensor("scores", "FP32", (n, 2), [float(k) for k in range(2 * n)]),
        "epistemic": Tensor("epistemic", "FP64", (n,), [1 - s for s in sure]),
    }
    return Response(request.id, outputs, confidence=sure, path=(Step("model", "asked"),), usd=n / 4)


def ask(handler: Handler, request: Request = REQUEST) -> Response:
    async def asked() -> Response:
        return await handler(request)

    return asyncio.run(asked())


def one_row(x: float) -> Request:
    return Request("r", {"x": Tensor("x", "FP32", (1, 1), [x])}, 1.0)


def data(response: Response, name: str = "probability") -> Any:
    assert isinstance(response.outputs, dict)
    return response.outputs[name].data


def test_unsure_rows_are_marked_with_the_reason_and_their_answer_is_kept() -> None:
    got = ask(Abstain(0.6)(model))
    assert got.parameters == {"abstained": [True, True, False, False]}
    assert got.row_path(0) == (Step("model", "asked"), Step("abstain", "confidence 0.25 is not above 0.6"))
    assert got.row_path(3) == (Step("model", "asked"),)
    assert data(got) == [0.9] * 4


def test_a_row_at_the_threshold_is_not_answered_and_one_without_a_number_neither() -> None:
    assert not Abstain(0.5).sure(0.5)
    assert Abstain(0.5).sure(0.5000001)
    assert not Abstain(0.5, unsure="above").sure(0.5)
    for value in (None, math.nan):
        assert not Abstain(EVERYTHING).sure(value)
        assert not Abstain(1e9, unsure="above").sure(value)
    assert "confidence unknown is not above" in Abstain(0.5).reason(None)


def test_doubt_in_an_output_counts_from_above() -> None:
    got = ask(Abstain(0.5, "epistemic", "above")(model))
    assert got.parameters["abstained"] == [True, True, False, False]
    assert got.row_path(1)[-1].because == "epistemic 0.5 is not below 0.5"


def test_a_withheld_answer_is_null_and_what_tells_a_person_where_to_look_stays() -> None:
    got = ask(Abstain(0.3, answer="withheld")(model))
    assert data(got) == [None, 0.9, 0.9, 0.9]
    assert data(got, "scores")[:3] == [None, None, 2.0]
    assert got.confidence == [0.25, 0.5, 0.75, 1.0]
    some = ask(Abstain(0.3, answer="withheld", outputs=("probability",))(model))
    assert data(some, "scores")[0] == 0.0
    with pytest.raises(SpecError, match="no output 'probabilty' to withhold; did you mean 'probability'"):
        ask(Abstain(0.3, answer="withheld", outputs=("probabilty",))(model))


def test_records_and_windows_know_which_rows_were_flagged() -> None:
    records = rows_of(REQUEST, ask(Abstain(0.6, answer="withheld")(model)))
    window = Window.of_all(records)
    assert window.steps["abstain"].tolist() == [True, True, False, False]
    assert np.isnan(window.outputs["probability"]).tolist() == [True, True, False, False]
    assert window.confidence is not None
    assert window.confidence.tolist() == [0.25, 0.5, 0.75, 1.0]


def test_one_row_does_not_part_from_anybody() -> None:
    flagged, sure = ask(Abstain(0.6)(model), one_row(1.0)), ask(Abstain(0.6)(model), one_row(4.0))
    assert flagged.paths is None
    assert flagged.path[-1].at == "abstain"
    assert sure.path == (Step("model", "asked"),)
    assert sure.parameters == {"abstained": [False]}


def test_rows_that_parted_before_go_on_along_their_own_ways() -> None:
    async def parted(request: Request) -> Response:
        ways = [(Step("cheap", str(k)),) for k in range(request.n)]
        return replace(await model(request), paths=ways)

    got = ask(Abstain(0.3)(parted))
    assert [step.at for step in got.row_path(0)] == ["model", "cheap", "abstain"]
    assert [step.at for step in got.row_path(1)] == ["model", "cheap"]


def test_a_fallback_answers_the_unsure_rows_only_and_bills_them_alone() -> None:
    asked: list[Request] = []

    async def dear(request: Request) -> Response:
        asked.append(request)
        outputs = {
            "probability": Tensor("probability", "FP64", (request.n,), [x * 10 for x in request.inputs["x"].data])
        }
        return Response(
            request.id, outputs, confidence=[0.99] * request.n, path=(Step("dear", "asked", 3.0),), usd=3.0 * request.n
        )

    got = ask(Abstaining(model, Abstain(0.6), dear, "dear"))
    assert asked[0].inputs["x"].data == [1.0, 2.0]
    assert data(got) == [10.0, 20.0, 0.9, 0.9]
    assert got.confidence == [0.99, 0.99, 0.75, 1.0]
    assert [step.at for step in got.row_path(0)] == ["model", "abstain", "fallback", "dear"]
    assert got.usd == 7.0
    assert [got.row_usd(k, 4) for k in range(4)] == [3.25, 3.25, 0.25, 0.25]
    assert got.parameters["abstained"] == [True, True, False, False]
    assert (got.arm, data(got, "scores")) == ("stable", [float(k) for k in range(8)])


def test_one_row_that_a_fallback_answers_is_billed_for_both() -> None:
    async def dear(request: Request) -> Response:
        return Response(request.id, {"probability": Tensor("probability", "FP64", (1,), [0.1])}, usd=3.0)

    got = ask(Abstaining(model, Abstain(0.6), dear, "dear"), one_row(1.0))
    assert (got.usd, got.row_usd(0, 1), data(got)) == (3.25, 3.25, [0.1])


def test_the_plan_of_a_fallback_is_made_with_what_a_release_gives(tmp_path: Path) -> None:
    plan = {"abstain": {"threshold": 0.6, "fallback": {"default": {"outputs": {"probability": 0.2}}}}}
    made = wrapper.make(plan, tmp_path)
    got = ask(made.around(model, Given(SIGNATURE, tmp_path, "release")))  # type: ignore[attr-defined]
    assert data(got) == [0.2, 0.2, 0.9, 0.9]
    assert got.row_path(1)[-1] == Step("fallback", "default answers in its place")
    assert wrapper.make(write_plan(made)) == made
    with pytest.raises(SpecError, match="the fallback 'default' is made by `around"):
        made(model)
    assert ask(Abstain(0.6).around(model, Given(SIGNATURE))) == ask(Abstain(0.6)(model))


def test_where_the_fallback_cannot_answer_the_row_says_so_and_the_setting_counts() -> None:
    async def helpless(request: Request) -> Response:
        raise Missing("no answer is remembered")

    async def other(request: Request) -> Response:
        return Response(
            request.id, {"probability": Tensor("probability", "FP64", (request.n, 2), [0.0] * 2 * request.n)}
        )

    async def strange(request: Request) -> Response:
        return Response(request.id, {"colour": Tensor("colour", "FP64", (request.n,), [0.0] * request.n)})

    told = {helpless: "no answer is remembered", other: "in the shape (1, 2), not (1,)", strange: "it answers none of"}
    for instead, why in told.items():
        got = ask(Abstaining(model, Abstain(0.3, answer="withheld"), instead, "other"))
        assert data(got) == [None, 0.9, 0.9, 0.9]
        assert why in got.row_path(0)[-1].because


def test_a_model_that_does_not_say_how_sure_it_is_cannot_abstain() -> None:
    async def silent(request: Request) -> Response:
        return replace(await model(request), confidence=None)

    with pytest.raises(
        SpecError, match=r"says no 'confidence' to abstain by \(it says: probability, scores, epistemic\)"
    ):
        ask(Abstain(0.6)(silent))
    with pytest.raises(SpecError, match="says no 'epistemc' to abstain by; did you mean 'epistemic'"):
        ask(Abstain(0.6, "epistemc")(model))
    with pytest.raises(BadData, match=r"'scores' has shape \(4, 2\); allowed: \(n,\)"):
        ask(Abstain(0.6, "scores")(model))


def test_a_certified_threshold_says_on_every_flagged_row_what_was_shown() -> None:
    rng = np.random.default_rng(0)
    sure = rng.random(4000)
    wrong = rng.random(4000) < 0.3 * (1 - sure)
    made = fit(sure, wrong, 0.05, 0.1, Random(0))
    assert made.rows == 3200
    assert "errors at most 0.05 with confidence 0.9, shown on 3,200 rows" in made.reason(0.0)
    doubtful = fit(1 - sure, wrong, 0.05, 0.1, Random(0), "epistemic", "above")
    assert doubtful.threshold == pytest.approx(1 - made.threshold)
    assert [doubtful.sure(1 - s) for s in (0.2, 0.95)] == [made.sure(0.2), made.sure(0.95)]


def test_a_threshold_that_answers_everything_survives_json() -> None:
    made = of_certified(Certified(EVERYTHING, 0.1, 0.1, 100, 100, 0, 1))
    assert wrapper.make(msgspec.json.decode(msgspec.json.encode(write_plan(made)))) == made
    assert ask(made(model)).parameters["abstained"] == [False] * 4
