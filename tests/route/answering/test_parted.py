"""Rows that were answered by different models stand in one answer, in the order in which they were asked about."""

from __future__ import annotations

import asyncio
import contextlib
import json
import math

import msgspec
import numpy as np
import polars as pl
import pytest

from roadworthy.app.binary import to_bytes
from roadworthy.core.errors import RoadworthyError
from roadworthy.core.record import Record
from roadworthy.core.wire import Request, Response, Step, Tensor
from roadworthy.route.answering.parted import Place, part_of, way_within, whole
from roadworthy.serve.recorded import rows_of
from roadworthy.store.records import RecordLog

WAYS = ((Step("a", "1", 0.1),), (Step("b", "2", 0.3),), (Step("a", "3", 0.1),))


def response(values: list[float], width: int = 1, **more) -> Response:
    n = len(values) // width
    return Response("part", {"p": Tensor("p", "FP32", (n,) if width == 1 else (n, width), values)}, "rel", **more)


def test_rows_come_back_in_order_with_ways_of_their_own():
    one, two = response([1.0, 1.1, 1.2], confidence=[0.1, 0.2, 0.3]), response([2.0], confidence=[0.9])
    places = [Place(one, 0), Place(two, 0), Place(one, 2)]
    found = whole("r", places, WAYS, 0.5, {"model": 1.0})
    assert (found.id, found.release, found.usd, found.seconds) == ("r", "rel", 0.5, {"model": 1.0})
    assert found.outputs["p"] == Tensor("p", "FP32", (3,), [1.0, 2.0, 1.2])
    assert found.confidence == [0.1, 0.9, 0.3]
    assert found.row_path(1) == (Step("b", "2", 0.3),)
    assert [found.row_usd(k, 3) for k in range(3)] == pytest.approx([0.1, 0.3, 0.1])


def test_one_answer_to_all_rows_keeps_its_outputs_as_they_are():
    one = response([1.0, 1.1])
    found = whole("r", [Place(one, 0), Place(one, 1)], WAYS[:2], None, {})
    assert found.outputs is one.outputs
    assert found.paths == WAYS[:2]


def test_the_only_row_has_a_path_and_no_paths():
    found = whole("r", [Place(response([1.0]), 0)], WAYS[:1], None, {})
    assert (found.path, found.paths) == (WAYS[0], None)


def test_wide_outputs_and_sets_are_put_together_too():
    one = response([1.0, 2.0, 3.0, 4.0], 2, prediction_set=[("x",), ("y",)])
    two = response([5.0, 6.0], 2, prediction_set=[("z", "x")])
    found = whole("r", [Place(two, 0), Place(one, 1)], WAYS[:2], None, {})
    assert found.outputs["p"] == Tensor("p", "FP32", (2, 2), [5.0, 6.0, 3.0, 4.0])
    assert found.prediction_set == [("z", "x"), ("y",)]


def mixed() -> Response:
    """Two rows, of which only the second one's model tells a number, words, a whole number and a truth besides."""
    more = {
        "ood": Tensor("ood", "FP64", (1,), np.array([0.7])),
        "words": Tensor("words", "BYTES", (1,), ["hm"]),
        "count": Tensor("count", "INT64", (1,), np.array([3])),
        "sure": Tensor("sure", "BOOL", (1,), [True]),
    }
    plain = response([1.0])
    rich = Response("part", {**plain.outputs, **more}, "rel", confidence=[0.5], prediction_set=[("x",)])
    return whole("r", [Place(response([2.0]), 0), Place(rich, 0)], WAYS[:2], None, {})


def test_what_one_model_does_not_tell_is_null_in_its_rows_whatever_its_datatype():
    found = mixed()
    told = {name: tensor.data for name, tensor in found.outputs.items()}
    assert told == {
        "p": [2.0, 1.0],
        "ood": [None, 0.7],
        "words": [None, "hm"],
        "count": [None, 3],
        "sure": [None, True],
    }
    assert math.isnan(found.confidence[0])
    assert found.confidence[1] == 0.5
    assert found.prediction_set is None


def test_on_the_wire_it_is_null_and_among_binary_floats_nan():
    found = mixed()
    assert json.loads(msgspec.json.encode(found.outputs["ood"]))["data"] == [None, 0.7]
    assert json.loads(msgspec.json.encode(found.confidence)) == [None, 0.5]
    assert np.isnan(np.frombuffer(to_bytes(found.outputs["ood"]), np.float64)[0])


def test_a_mean_over_records_leaves_out_what_was_never_told(tmp_path):
    request = Request("r", {"x": Tensor("x", "FP32", (2,), [0.0, 0.0])}, 1.0)
    with contextlib.closing(RecordLog(tmp_path / "records.db", "process")) as log:
        asyncio.run(kept(log, rows_of(request, mixed())))
        rows = list(log.read())
    assert [row.outputs["ood"] for row in rows] == [None, 0.7]
    assert pl.Series([row.outputs["ood"] for row in rows]).mean() == 0.7, "NaN would have spoilt it"


async def kept(log: RecordLog, rows: list[Record]) -> None:
    await log.append(lambda: rows)


def test_whoever_answered_in_anothers_place_is_told():
    there = Response("part", response([1.0]).outputs, "rel", "fallback")
    assert whole("r", [Place(response([2.0]), 0), Place(there, 0)], WAYS[:2], None, {}).arm == "fallback"


def test_what_rows_went_together_each_pays_an_even_share_of():
    parted = Response("r", {}, path=(Step("cache", "missed", 0.4, 0.2),), paths=[(Step("a", "1"),), (Step("b", "2"),)])
    assert way_within(parted, 1, 2) == (Step("cache", "missed", 0.2, 0.1), Step("b", "2"))
    assert way_within(response([1.0]), 0, 1) == ()


def test_a_stream_cannot_be_taken_apart():
    async def pieces():
        yield Tensor("text", "BYTES", (1,), ["a"])

    with pytest.raises(RoadworthyError, match="answers in a stream"):
        part_of(Response("r", pieces()), [0])


def test_models_that_answer_differently_many_values_are_told():
    with pytest.raises(RoadworthyError, match="answer 1 and 2 values a row in output 'p'"):
        whole("r", [Place(response([1.0]), 0), Place(response([1.0, 2.0], 2), 0)], WAYS[:2], None, {})
