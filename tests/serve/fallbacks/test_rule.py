"""A rule is a function of the project on the columns that an engine gets."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from roadworthy.core.errors import BadRequest, RoadworthyError, SpecError
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.fallback import Given, fallback
from roadworthy.serve.fallbacks.rule import Rule

RULES = """
import numpy as np

def storm(columns):
    return np.where(columns["wind"][:, 0] > 50, 0.9, 0.1)

def named(columns):
    return {"probability": [0.5] * len(columns["wind"]), "more": [0] * len(columns["wind"])}

def short(columns):
    return [0.5]

def other(columns):
    return {"probabilty": [0.5]}

LIMIT = 50
"""


@pytest.fixture
def given(tmp_path: Path) -> Given:
    (tmp_path / "rules.py").write_text(RULES)
    inputs = {"wind": Field(nullable=True), "carrier": Field("category")}
    return Given(Signature(inputs, {"probability": Field()}), tmp_path, "digest")


def ask(function: str, given: Given, wind: list[Any]) -> Response:
    n = len(wind)
    inputs = {"wind": Tensor("wind", "FP32", (n,), wind), "carrier": Tensor("carrier", "BYTES", (n,), ["UA"] * n)}
    handler = fallback.make({"rule": {"function": f"rules.py:{function}"}}, given.root)(given)

    async def run() -> Response:
        return await handler(Request("r", inputs, 0.0))

    return asyncio.run(run())


def test_it_answers_every_row_under_the_signatures_name(given: Given) -> None:
    answer = ask("storm", given, [80.0, None, 10.0])
    assert answer.outputs == {"probability": Tensor("probability", "FP64", (3,), [0.9, 0.1, 0.1])}
    assert (answer.id, answer.release, answer.confidence) == ("r", "digest", None)


def test_it_may_name_its_outputs_and_what_nobody_asked_for_is_left_out(given: Given) -> None:
    answer = ask("named", given, [1.0])
    assert answer.outputs == {"probability": Tensor("probability", "FP64", (1,), [0.5])}


def test_a_rule_that_answers_another_number_of_rows_has_no_answer(given: Given) -> None:
    with pytest.raises(RoadworthyError, match="given 2 rows and answered 1 rows"):
        ask("short", given, [1.0, 2.0])


def test_a_rule_that_answers_another_name_is_told_the_nearest(given: Given) -> None:
    with pytest.raises(RoadworthyError, match="answers no 'probability'; did you mean 'probabilty'"):
        ask("other", given, [1.0])


def test_a_request_that_does_not_fit_is_refused(given: Given) -> None:
    with pytest.raises(BadRequest, match="input 'wind' must hold"):
        ask("storm", given, ["strong"])


@pytest.mark.parametrize(
    ("function", "told"), [("rules.py:strom", "did you mean 'storm'"), ("rules.py:LIMIT", "name a function")]
)
def test_a_rule_that_is_not_there_is_refused_when_it_is_made(given: Given, function: str, told: str) -> None:
    with pytest.raises(SpecError, match=told):
        Rule(function)(given)
