"""Plain JSON over HTTP is a Handler: rows become columns, any other JSON is text, and what is neither is refused."""

from __future__ import annotations

import msgspec
import pytest

from roadworthy.app.endpoints.plain import Plain
from roadworthy.app.endpoints.refusals import Failed
from roadworthy.core.errors import BadData, Missing
from roadworthy.core.wire import Request, Tensor
from roadworthy.testing.mock_script import Fault, Script

ROWS = Request(
    "r1",
    {"x": Tensor("x", "FP32", (2,), [1.5, float("nan")]), "v": Tensor("v", "INT64", (2, 2), [1, 2, 3, 4])},
    0.0,
)


def ask(against, script: Script, request: Request = ROWS, path: str = "", answer=None):
    async def talk(mock):
        async with Plain(mock.url + path) as handler:
            return await handler(request)

    return against(script, talk, answer=answer)


def test_rows_go_out_with_nulls_and_vectors_and_come_back_as_columns(against):
    seen = []

    def answer(row):
        seen.append(row)
        return len(seen) / 10

    found = ask(against, Script(), answer=answer)
    assert seen == [{"x": 1.5, "v": [1, 2]}, {"x": None, "v": [3, 4]}]
    assert found.outputs == {"probability": Tensor("probability", "FP64", (2,), [0.1, 0.2])}
    assert (found.id, found.release) == ("r1", "mock")


def test_a_whole_body_keeps_all_but_its_id(against):
    body = Tensor("body", "BYTES", (1,), ['{"id": "old", "rows": [{"x": 1}]}'])
    assert ask(against, Script(), Request("new", {"body": body}, 0.0)).id == "new"


def test_any_json_is_an_answer_and_nothing_else_is(saying):
    async def talk(url: str):
        async with Plain(f"{url}/any?x=1") as handler:
            assert handler.path == "/any?x=1"
            return await handler(ROWS)

    head = b"HTTP/1.1 200 OK\r\n\r\n"
    assert saying([head, b'{"label": "cat"}'], talk).outputs["body"].data == ['{"label": "cat"}']
    assert msgspec.json.decode(saying([head, b'{"rows": [1]}'], talk).outputs["body"].data[0]) == {"rows": [1]}
    with pytest.raises(BadData, match="answered what is no JSON; is it the right path"):
        saying([head, b"<html>"], talk)


def test_rows_that_lack_a_column_are_refused(saying):
    async def talk(url: str):
        async with Plain(url) as handler:
            return await handler(ROWS)

    with pytest.raises(BadData, match="a row of the answer has no 'a'"):
        saying([b"HTTP/1.1 200 OK\r\n\r\n", b'{"rows": [{"a": 1}, {"b": 2}]}'], talk)


@pytest.mark.parametrize(
    ("script", "path", "error"),
    [(Script(faults=(Fault(502, 1.0),)), "", Failed), (Script(), "/nowhere", Missing)],
)
def test_a_refusal_is_an_error(against, script, path, error):
    with pytest.raises(error):
        ask(against, script, path=path)
