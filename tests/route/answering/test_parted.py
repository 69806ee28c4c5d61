"""Rows that were answered by different models stand in one answer, in the order in which they were asked about."""

from __future__ import annotations

import math

import pytest

from roadworthy.core.errors import RoadworthyError
from roadworthy.core.wire import Response, Step, Tensor
from roadworthy.route.answering.parted import Place, whole

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


def test_what_one_model_does_not_tell_is_nan_or_left_out():
    more = {"ood": Tensor("ood", "FP64", (1,), [0.7]), "words": Tensor("words", "BYTES", (1,), ["hm"])}
    rich = response([1.0], confidence=[0.5], prediction_set=[("x",)])
    rich = Response("part", {**rich.outputs, **more}, "rel", confidence=[0.5], prediction_set=[("x",)])
    found = whole("r", [Place(response([2.0]), 0), Place(rich, 0)], WAYS[:2], None, {})
    assert list(found.outputs) == ["p", "ood"]
    assert math.isnan(found.outputs["ood"].data[0])
    assert found.outputs["ood"].data[1] == 0.7
    assert math.isnan(found.confidence[0])
    assert found.prediction_set is None


def test_models_that_answer_differently_many_values_are_told():
    with pytest.raises(RoadworthyError, match="answer 1 and 2 values a row in output 'p'"):
        whole("r", [Place(response([1.0]), 0), Place(response([1.0, 2.0], 2), 0)], WAYS[:2], None, {})
