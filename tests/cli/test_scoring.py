"""Scoring finds the row that is to blame, waits for its own queue, and keeps every kind of answer."""

from __future__ import annotations

import asyncio
import math
from typing import Any

import polars as pl
import pytest
from msgspec.structs import replace

from roadworthy.cli.score_parts import Parts, Plan
from roadworthy.cli.score_tables import Chunk
from roadworthy.cli.scoring import Answers, Asking, Job
from roadworthy.core.errors import BadData, Late, Overloaded
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Request, Response, Tensor

SIGNATURE = Signature({"x": Field(nullable=True), "word": Field("category")}, {"double": Field()})


class Model:
    """Doubles x; fails on `poison`, and is full so many times before."""

    def __init__(self, poison: float = math.nan, full: int = 0) -> None:
        self.poison, self.full = poison, full
        self.sizes: list[int] = []
        self.more: dict[str, Any] = {}

    async def __call__(self, request: Request) -> Response:
        if self.full:
            self.full -= 1
            raise Overloaded("the queue is full", 0.001)
        rows = [-1.0 if x is None else x for x in request.inputs["x"].data]
        self.sizes.append(len(rows))
        if self.poison in rows:
            raise ZeroDivisionError("poison")
        outputs = {"double": Tensor("double", "FP32", (len(rows), 1), [2 * x for x in rows])}
        return replace(Response(request.id, outputs, confidence=[0.5] * len(rows)), **self.more)


def chunk(*x: Any, start: int = 0) -> Chunk:
    frame = pl.DataFrame(
        {"x": x, "word": [f"w{k}" for k in range(len(x))]}, schema={"x": pl.Float64, "word": pl.String}
    )
    return Chunk(start, frame)


def job(tmp_path: Any, output: str = "o.parquet", carried: tuple[str, ...] = ("word",), **settings: Any) -> Job:
    return Job(tmp_path / "in.parquet", tmp_path / output, "digest", SIGNATURE, carried, **settings)


def ask(model: Model, rows: Chunk, batch: int = 4, in_flight: int = 2, signature: Signature = SIGNATURE) -> Answers:
    told: list[int] = []
    answers = asyncio.run(Asking(model, signature, batch, in_flight)(rows, told.append))
    assert max(told, default=rows.start) == rows.start + rows.frame.height
    return answers


def test_a_row_on_which_the_model_fails_is_found_among_the_others() -> None:
    model = Model(poison=5.0)
    answers = ask(model, chunk(*range(10)), batch=8)
    assert answers.outputs["double"] == [0.0, 2.0, 4.0, 6.0, 8.0, None, 12.0, 14.0, 16.0, 18.0]
    assert answers.errors == [None] * 5 + ["ZeroDivisionError: poison"] + [None] * 4
    assert answers.confidence[4:7] == [0.5, None, 0.5]


def test_a_refused_row_costs_the_others_no_request_of_their_own() -> None:
    model = Model()
    answers = ask(model, chunk(1.0, math.inf, None, 2.0), batch=4)
    assert model.sizes == [3]
    assert answers.errors[1] == "BadRequest: input 'x' has Infinity; allowed: a finite number, or null"
    assert answers.outputs["double"] == [2.0, None, -2.0, 4.0]


def test_a_part_in_which_nothing_can_be_asked_has_only_reasons(tmp_path: Any) -> None:
    answers = ask(Model(), chunk(math.inf, math.inf))
    assert all(answers.errors)
    frame = answers.frame(job(tmp_path), chunk(math.inf, math.inf))
    assert (frame.columns, frame.height) == (["word", "confidence", "release", "error"], 2)


def test_its_own_full_queue_is_waited_for_and_lateness_is_not() -> None:
    answers = ask(Model(full=5), chunk(1.0, 2.0))
    assert answers.errors == [None, None]

    async def late(request: Request) -> Response:
        raise Late("too late")

    assert asyncio.run(Asking(late, SIGNATURE, 4, 1)(chunk(1.0), lambda row: None)).errors == ["Late: too late"]


@pytest.mark.parametrize("in_flight", [1, 3])
def test_rows_are_asked_about_in_portions_and_keep_their_order(in_flight: int) -> None:
    model = Model()
    answers = ask(model, chunk(*range(11), start=22), batch=4, in_flight=in_flight)
    assert sorted(model.sizes) == [3, 4, 4]
    assert answers.outputs["double"] == [2.0 * x for x in range(11)]


def test_a_row_that_could_not_be_read_is_not_asked_about() -> None:
    model, rows = Model(), chunk(1.0, 2.0, 3.0)
    answers = ask(model, Chunk(rows.start, rows.frame, {1: "the row has 2 cells"}))
    assert (model.sizes, answers.errors) == ([2], [None, "the row has 2 cells", None])


def test_an_answer_of_another_number_of_rows_or_a_stream_is_no_answer() -> None:
    model = Model()
    model.more = {"outputs": {"double": Tensor("double", "FP32", (2, 1), [1.0, 2.0])}}
    answers = ask(model, chunk(1.0), batch=1)
    assert answers.errors == ["BadData: 2 rows of output 'double' came back for 1"]

    async def pieces() -> Any:
        yield Tensor("double", "FP32", (1,), [1.0])

    model.more = {"outputs": pieces()}
    assert ask(model, chunk(1.0)).errors == ["BadData: the answer is a stream, which has no row to stand in"]


def test_vectors_and_prediction_sets_are_lists_in_parquet_and_json_in_csv(tmp_path: Any) -> None:
    model = Model()
    scores = Tensor("scores", "FP64", (2, 2), [0.25, 0.75, 0.5, 0.5])
    model.more = {"outputs": {"scores": scores}, "prediction_set": [["a"], ["a", "b"]]}
    rows = chunk(1.0, 2.0)
    typed = ask(model, rows).frame(job(tmp_path), rows)
    assert typed["scores"].to_list() == [[0.25, 0.75], [0.5, 0.5]]
    assert typed["prediction_set"].to_list() == [["a"], ["a", "b"]]
    text = ask(model, rows).frame(job(tmp_path, "o.csv"), rows)
    assert text["scores"].to_list() == ["[0.25,0.75]", "[0.5,0.5]"]
    assert text["prediction_set"].to_list() == ['["a"]', '["a","b"]']


@pytest.mark.parametrize("kind", ["parquet", "csv"])
def test_parts_with_other_columns_become_one_table(tmp_path: Any, kind: Any) -> None:
    one = job(tmp_path, f"o.{kind}")
    parts = Parts(one.output, Plan("in", "digest", None, ("word",), 2, 2, kind))
    model = Model()
    with parts.held(resume=False):
        for number, x in enumerate((math.inf, 1.0, 2.0)):
            model.more = {"prediction_set": [["a"]]} if x == 2.0 else {}
            rows = chunk(x)
            parts.add(number, ask(model, rows).frame(one, rows))
        assert parts.tally() == (3, {"BadRequest: input 'x' has Infinity; allowed: a finite number, or null": 1})
        parts.finish()
    found = pl.read_parquet(one.output) if kind == "parquet" else pl.read_csv(one.output)
    assert found.columns == ["word", "confidence", "double", "prediction_set", "release", "error"]
    assert found["double"].to_list() == [None, 2.0, 4.0]
    assert not parts.folder.exists()


def test_a_manifest_that_cannot_be_read_is_told(tmp_path: Any) -> None:
    parts = Parts(tmp_path / "o.csv", Plan("in", "digest", None, (), 2, 2, "csv"))
    with parts.held(resume=False):
        pass
    (parts.folder / "manifest.json").write_text("{")
    with pytest.raises(BadData, match="begin anew with --overwrite"), parts.held(resume=True):
        pass
