"""POST /predict for whoever does not speak tensors."""

from __future__ import annotations

import json

import pytest

from roadworthy.core.errors import RoadworthyError
from roadworthy.core.wire import Step, Tensor

RELEASE = "ab" * 32


@pytest.fixture
def predict(run, ask, routes_of, mean):
    def sent(body, served=None):
        raw = json.dumps(body).encode()
        head = b"POST /predict HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n" % len(raw)
        answer = run(routes_of(served or mean()), lambda port: ask(port, head + raw))
        head, _, body = answer.partition(b"\r\n\r\n")
        return int(head.split()[1]), json.loads(body)

    return sent


ROWS = [{"a": 0.5, "b": None, "kind": "x"}, {"kind": "y", "a": 1, "b": 1.0}]


def test_rows_are_answered_row_by_row(predict, mean):
    assert predict({"id": "r1", "rows": ROWS}) == (
        200,
        {
            "id": "r1",
            "rows": [{"probability": 0.25, "confidence": 0.75}, {"probability": 1.0, "confidence": 0.75}],
            "release": RELEASE,
            "arm": "stable",
            "path": [{"at": "split", "because": "drew 0.5"}],
        },
    )


def test_rows_that_went_different_ways_are_told_with_what_they_cost(predict, mean):
    ways = ((Step("small", "sure", 0.001),), (Step("small", "unsure", 0.001), Step("large", "last", 0.02)))
    _, told = predict({"rows": ROWS}, mean(path=(), paths=ways, usd=0.022))
    assert "path" not in told
    assert [[step["at"] for step in way] for way in told["paths"]] == [["small"], ["small", "large"]]
    assert (told["paths"][1][1]["usd"], told["usd"]) == (0.02, 0.022)


def test_a_deadline_and_a_priority_are_the_scheduler_s_and_not_the_model_s(predict, mean):
    served = mean()
    status, _ = predict({"rows": ROWS, "parameters": {"timeout": 5_000_000, "priority": 1, "beam": 2}}, served)
    (request,) = served.seen
    assert (status, request.priority, request.parameters) == (200, 1, {"beam": 2})
    assert request.deadline is not None
    assert predict({"rows": ROWS, "parameters": {"priority": 9}})[0] == 400


def test_columns_are_answered_like_rows(predict, mean):
    columns = {name: [row[name] for row in ROWS] for name in ("a", "b", "kind")}
    by_column, by_row = predict({"id": "r", "columns": columns}), predict({"id": "r", "rows": ROWS})
    assert by_column == by_row


def test_vectors_and_sets_stay_with_their_row(predict, mean):
    outputs = {"scores": Tensor("scores", "FP32", (2, 2), [0.1, 0.9, 0.8, 0.2])}
    _, answer = predict({"rows": ROWS}, mean(outputs=outputs, confidence=None, prediction_set=[["b"], ["a", "b"]]))
    assert answer["rows"] == [
        {"scores": [0.1, 0.9], "prediction_set": ["b"]},
        {"scores": [0.8, 0.2], "prediction_set": ["a", "b"]},
    ]


@pytest.mark.parametrize(
    ("body", "says"),
    [
        ({"rows": [{"a": 1, "b": 1}]}, "row 0: input 'kind' is missing; allowed: every input, null if unknown"),
        ({"rows": [ROWS[0], {**ROWS[0], "knd": "x"}]}, "row 1: no input named 'knd'; did you mean 'kind'?"),
        ({"rows": [{**ROWS[0], "a": "x"}]}, "input 'a' has \"x\" in row 0; allowed: a finite number (not nullable)"),
        ({"rows": [{**ROWS[0], "a": None}]}, "input 'a' has null in row 0; allowed: a finite number (not nullable)"),
        ({"rows": [{**ROWS[0], "a": float("nan")}]}, "input 'a' has NaN in row 0"),
        ({"rows": [{**ROWS[0], "a": [1.0, 2.0]}]}, "input 'a' has 2 values; allowed: 1"),
        ({"rows": []}, "there are no rows to answer; allowed: at least one"),
        ({"columns": {"a": [1], "b": [1], "c": [1]}}, "no input named 'c'"),
        ({"columns": {"a": [1], "b": [1]}}, "input 'kind' is missing (given: a, b)"),
        ({"columns": {"a": [1, 2], "b": [1], "kind": ["x"]}}, "input 'b' has 1 rows and 'a' has 2"),
        ({}, "the body has both `rows` and `columns`, or neither"),
        ({"rows": [], "columns": {}}, "the body has both `rows` and `columns`, or neither"),
        ({"row": ROWS}, "the body does not fit: Object contains unknown field `row`"),
        ({"rows": [1]}, "the body does not fit: Expected `object`, got `int` - at `$.rows[0]`"),
    ],
)
def test_what_does_not_fit_is_told(predict, body, says):
    status, answer = predict(body)
    assert status == 400
    assert answer["error"].startswith(says)


def test_the_route_is_there_by_post_only(routes_of, mean):
    assert routes_of(mean()).find(b"POST", b"/predict")
    with pytest.raises(RoadworthyError, match="'/predict' takes POST, not GET"):
        routes_of(mean()).find(b"GET", b"/predict")
