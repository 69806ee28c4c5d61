from __future__ import annotations

import asyncio
import math

import numpy as np
import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.sample import Sample
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Response, Step, Tensor
from roadworthy.evaluate.answers import WITHHELD, ask
from roadworthy.evaluate.told import Telling

SMALL, LARGE = Step("small", "kept", 0.001, 0.1), Step("large", "kept", 0.02, 0.5)
SIGNATURE = Signature({"x": Field()}, {"y": Field()})


def numbers(name, values):
    return Tensor(name, "FP64", (len(values),), values)


def told(n, *heard):
    telling = Telling(n)
    for response, rows in heard:
        telling.heard(response, rows)
    return telling.told


def test_what_nobody_tells_is_none():
    found = told(3, (Response("a", {"y": numbers("y", [1.0, 2.0, 3.0])}), range(3)))
    assert all(getattr(found, name) is None for name in found.__dataclass_fields__)


def test_each_row_has_its_own_entry_and_a_silent_one_is_empty():
    first = Response("a", {}, confidence=[0.9, None], prediction_set=[["no"], ["no", "yes"]], paths=[(SMALL,), ()])
    found = told(3, (first, range(2)), (Response("b", {}), range(2, 3)))
    assert found.confidence[0] == 0.9
    assert np.isnan(found.confidence[1:]).all()
    assert found.sets.tolist() == [("no",), ("no", "yes"), None]
    assert found.ways.tolist() == [(SMALL,), (), ()]


def test_sets_of_one_size_stay_sets():
    found = told(2, (Response("a", {}, prediction_set=[["a", "b"], ["b", "c"]]), range(2)))
    assert found.sets.tolist() == [("a", "b"), ("b", "c")]


@pytest.mark.parametrize("paths", [None, [(SMALL,), (SMALL, LARGE), (SMALL,)]])
def test_the_price_of_a_row_is_that_of_the_response(paths):
    response = Response("a", {}, path=(Step("guard", "fine"),), usd=0.06, paths=paths)
    found = told(4, (response, range(1, 4)))
    assert math.isnan(found.usd[0])
    assert found.usd[1:].tolist() == pytest.approx([response.row_usd(row, 3) for row in range(3)])


def test_intervals_are_two_outputs_of_one_number_a_row():
    ends = {"low": numbers("low", [1.0, 2.0]), "high": numbers("high", [3.0, None])}
    found = told(2, (Response("a", ends), range(2)))
    assert found.intervals[0].tolist() == [1.0, 3.0]
    assert math.isnan(found.intervals[1, 1])
    words = {"low": Tensor("low", "BYTES", (2,), ["a", "b"]), "high": numbers("high", [1.0, 2.0])}
    assert told(2, (Response("a", words), range(2))).intervals is None
    assert told(2, (Response("a", {"low": numbers("low", [1.0, 2.0])}), range(2))).intervals is None


def test_what_another_model_said_of_the_same_rows_is_kept():
    outputs = {
        "y": numbers("y", [1.0, 2.0]),
        "small.y": numbers("small.y", [None, 3.0]),
        "small.z": numbers("z", [9.0]),
    }
    telling = Telling(2, "y")
    telling.heard(Response("a", outputs), range(2))
    assert telling.told.beside.tolist() == [pytest.approx(math.nan, nan_ok=True), 3.0]
    wide = Telling(1, "y")
    wide.heard(Response("a", {"small.y": Tensor("small.y", "FP64", (1, 2), [0.2, 0.8])}), range(1))
    assert wide.told.beside.tolist() == [[0.2, 0.8]]


def test_abstention_is_told_by_a_mark_or_by_the_way():
    left = Step("abstain", "confidence 0.4 is not above 0.6")
    marked = told(2, (Response("a", {}, parameters={"abstained": [True, False]}), range(2)))
    walked = told(2, (Response("a", {}, paths=[(SMALL, left), (SMALL,)]), range(2)))
    assert marked.flagged.tolist() == walked.flagged.tolist() == [True, False]
    assert told(1, (Response("a", {}, path=(SMALL,)), range(1))).flagged is None


@pytest.mark.parametrize(
    ("response", "because"),
    [
        (Response("a", {}, confidence=[0.5]), "1 confidences came back for 2 rows"),
        (Response("a", {}, prediction_set=[["a"]] * 3), "3 prediction sets"),
        (Response("a", {}, paths=[()]), "1 ways"),
        (Response("a", {}, parameters={"abstained": [True]}), "1 marks"),
    ],
)
def test_what_does_not_speak_of_each_row_is_refused(response, because):
    with pytest.raises(BadData, match=because):
        told(2, (response, range(2)))


def test_answers_carry_what_was_told_and_a_withheld_row_says_so():
    async def handler(request):
        rows = [int(x) for x in request.inputs["x"].data]
        values = [None if row == 2 else float(row) for row in rows]
        marks = {"abstained": [row in (1, 2) for row in rows]}
        sure = [row / 10 for row in rows]
        return Response(request.id, {"y": numbers("y", values)}, confidence=sure, parameters=marks)

    found = asyncio.run(ask(handler, Sample({"x": np.arange(5.0)}), SIGNATURE, batch_rows=2))
    assert found.told.confidence.tolist() == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    assert found.told.flagged.tolist() == [False, True, True, False, False]
    assert found.failed == {2: WITHHELD}


def test_an_answer_that_tells_too_little_fails_its_rows():
    async def handler(request):
        return Response(request.id, {"y": numbers("y", [1.0, 2.0])}, confidence=[0.5])

    found = asyncio.run(ask(handler, Sample({"x": np.arange(2.0)}), SIGNATURE))
    assert found.reasons == {"BadData: 1 confidences came back for 2 rows": 2}
    assert np.isnan(found.values).all()
