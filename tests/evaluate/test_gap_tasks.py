"""The gap of every task: real models of scikit-learn's data sets, and a writer whose answers stream."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from sklearn.datasets import load_diabetes, load_digits
from sklearn.linear_model import LogisticRegression, Ridge

from roadworthy.core.measure import Claim, Measurement, Requirement
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Application, Field
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.evaluate.corruptions.null_column import NullColumn
from roadworthy.evaluate.gap import Effort, gap
from roadworthy.evaluate.reports.report import GapReport, read_json, write_json
from roadworthy.evaluate.spoils import changed_rows

QUICK = Effort(load_seconds=0.0, severities=(1.0,), slice_rows=50, crowd_rows=0)
DIGITS = ("zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine")


def named(found: tuple[Measurement, ...]) -> dict[str, Measurement]:
    return {m.name: m for m in found}


def served(model: Any, output: str, answer: Any) -> Handler:
    async def handler(request: Request) -> Response:
        columns = [
            np.nan_to_num(np.asarray(t.data, np.float64).reshape(t.shape[0], -1)) for t in request.inputs.values()
        ]
        values = answer(model, np.concatenate(columns, axis=1))
        return Response(request.id, {output: Tensor(output, "FP64", values.shape, values)})

    return handler


@pytest.fixture(scope="module")
def digits() -> GapReport:
    pixels, labels = load_digits(return_X_y=True)
    model = LogisticRegression(max_iter=200, tol=0.01).fit(pixels[:900], labels[:900])
    whole = Sample(
        {"left": pixels[:, :32], "right": pixels[:, 32:]},
        labels=labels.astype(np.float64),
        tags={"half": np.where(labels < 5, "low", "high").astype(object)},
        source="digits",
    )
    inputs = {"left": Field(width=32, nullable=True), "right": Field(width=32, nullable=True)}
    bounds = (Requirement("top_5", at_least=0.9), Requirement("macro_f1", at_least=0.5, where="half=low"))
    asked = Application("digits", "multiclass", inputs, classes=DIGITS, requirements=bounds)
    handler = served(model, "probability", lambda m, x: m.predict_proba(x))
    lab, production = whole.take(slice(900, 1300)), whole.take(slice(1300, None))
    claims = [Claim("accuracy", 0.92, 0.04)]
    corruptions = [NullColumn("left")]
    return gap(handler, asked, lab, production, claims=claims, corruptions=corruptions, effort=QUICK)


def test_digits_are_scored_by_class(digits: GapReport) -> None:
    assert [m.name for m in digits.production] == ["accuracy", "macro_f1", "log_loss", "top_5", "ece"]
    assert all(m.n == 497 for m in digits.production)
    assert 0.8 < named(digits.production)["accuracy"].value < named(digits.production)["top_5"].value
    assert [v.decision for v in digits.verdicts] == ["pass", "pass"]
    assert digits.reproductions[0].outcome == "reproduced"


def test_digits_whose_half_is_lost_break_and_are_compared_in_pairs(digits: GapReport) -> None:
    (spoilt,) = digits.spoilt
    assert spoilt.change.name == "accuracy_change"
    assert spoilt.change.value == pytest.approx((spoilt.flips.fixed - spoilt.flips.broken) / 497)
    assert spoilt.flips.broken > 100 > spoilt.flips.fixed
    assert spoilt.change.high < 0 < spoilt.change.conditions["detectable"]
    assert digits.waterfall[-1].kind == "corruption"


def test_a_report_of_many_classes_survives_its_json(digits: GapReport) -> None:
    again = read_json(write_json(digits))
    assert write_json(again) == write_json(digits)
    assert again.spoilt[0].flips == digits.spoilt[0].flips


def test_numbers_are_scored_by_their_distance() -> None:
    x, y = load_diabetes(return_X_y=True)
    model, names = Ridge(alpha=0.1).fit(x[:300], y[:300]), [f"x{k}" for k in range(10)]
    whole = Sample({name: x[:, k] for k, name in enumerate(names)}, labels=y)
    asked = Application("diabetes", "regression", dict.fromkeys(names, Field(nullable=True)), output="progress")
    handler = served(model, "progress", lambda m, rows: m.predict(rows))
    production = whole.take(slice(300, None))
    report = gap(handler, asked, whole.take(slice(0, 300)), production, corruptions=[NullColumn("x8")], effort=QUICK)
    assert [m.name for m in report.production] == ["mae", "rmse", "r2", "bias"]
    truth = model.predict(x[300:])
    assert named(report.production)["rmse"].value == pytest.approx(np.sqrt(np.mean((truth - y[300:]) ** 2)), rel=1e-6)
    assert report.spoilt[0].change.name == "mae_change"
    assert report.spoilt[0].change.value > 0
    assert report.headline == "mae"


def questions(n: int) -> Sample:
    a = np.arange(n)
    return Sample(
        {"prompt": np.array([f"What is {k} and 4?" for k in a], dtype=object)},
        targets=np.array([str(k + 4) if k % 10 else None for k in a], dtype=object),
        fields={"prompt": Field("text")},
    )


async def writer(request: Request) -> Response:
    (prompt,) = request.inputs["prompt"].data
    number = int(prompt.split()[2])
    if number % 7 == 3:
        raise TimeoutError("too slow")

    async def drip() -> Any:
        said = str(number + 4) if number % 4 else f"It is {number + 4}."
        for letter in said:
            yield Tensor("text", "BYTES", (1,), [letter])

    return Response(request.id, drip())


def test_streamed_answers_are_scored_as_text() -> None:
    asked = Application("adder", "generation", {"prompt": Field("text")}, output="text")
    report = gap(writer, asked, questions(40), questions(80), effort=QUICK)
    rows = [k for k in range(80) if k % 10 and k % 7 != 3]
    strict, flexible = (named(report.production)[name] for name in ("exact_match", "flexible_match"))
    assert (strict.n, flexible.n) == (len(rows), len(rows))
    assert strict.value == pytest.approx(sum(k % 4 > 0 for k in rows) / len(rows))
    assert flexible.value == 1
    assert [(f.where, f.because, f.rows) for f in report.failures] == [
        ("lab", "TimeoutError: too slow", 6),
        ("production", "TimeoutError: too slow", 11),
    ]
    assert report.settings["production"]["labelled"] == 72


def test_texts_without_targets_wait() -> None:
    asked = Application(
        "adder", "generation", {"prompt": Field("text")}, output="text", requirements=(Requirement("token_f1", 0.5),)
    )
    report = gap(writer, asked, questions(10), replace(questions(10), targets=None), effort=QUICK)
    assert report.decision == "wait"


def test_a_row_of_a_matrix_is_changed_once() -> None:
    before = Sample({"x": np.array([[1.0, np.nan], [3.0, 4.0], [5.0, 6.0]])})
    after = Sample({"x": np.array([[1.0, np.nan], [9.0, 9.0], [5.0, 7.0]])})
    assert changed_rows(before, after) == 2
