"""Several tries become one answer, which says how many of them agree, and each of them is paid for."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from roadworthy.core.errors import BadData
from roadworthy.core.wire import Request, Response, Step, Tensor
from roadworthy.serve.wrappers.self_consistent import SelfConsistent

QUESTION = Request("q", {"x": Tensor("x", "FP32", (2, 1), [1.0, 2.0])}, 0.0)


def ask(leaf: SelfConsistent, *outputs: Tensor, **more) -> Response:
    async def inner(request: Request) -> Response:
        assert request.inputs["x"].data == [1.0] * leaf.tries + [2.0] * leaf.tries
        return Response(request.id, {one.name: one for one in outputs}, **more)

    return asyncio.run(leaf(inner)(QUESTION))


def texts(*said: str | None) -> Tensor:
    return Tensor("answer", "BYTES", (len(said),), list(said))


def test_the_first_try_that_says_what_most_say_is_the_answer_with_everything_that_it_said():
    number = Tensor("length", "INT64", (6,), [1, 2, 3, 4, 5, 6])
    got = ask(SelfConsistent(3), texts("Lyon", "Paris", " paris ", "a", "b", "b"), number, usd=0.6)
    assert got.outputs["answer"].data == ["Paris", "b"]
    assert got.outputs["length"].data == [2, 5]
    assert got.outputs["agreement"].data == pytest.approx([2 / 3, 2 / 3])
    assert got.confidence == pytest.approx([2 / 3, 2 / 3])
    assert got.row_usd(0, 2) == pytest.approx(0.3)


def test_numbers_agree_where_they_decide_alike():
    p = Tensor("p", "FP64", (4,), [0.9, 0.6, 0.4, 0.7])
    got = ask(SelfConsistent(2), p)
    assert got.outputs["p"].data == [0.9, 0.4]
    assert got.outputs["agreement"].data == [1.0, 0.5]
    scores = Tensor("s", "FP64", (4, 3), [0.1, 0.2, 0.7, 0.0, 0.1, 0.9, 1.0, 0.0, 0.0, 0.0, 1.0, 0.0])
    assert ask(SelfConsistent(2), scores).outputs["agreement"].data == [1.0, 0.5]


def test_a_try_without_an_answer_agrees_with_nobody():
    got = ask(SelfConsistent(3), texts(None, "yes", None, None, None, None))
    assert got.outputs["answer"].data == ["yes", None]
    assert got.outputs["agreement"].data == pytest.approx([1 / 3, 0.0])


def test_ways_sets_and_marks_are_those_of_the_chosen_tries_and_all_are_billed():
    ways = [(Step("small", f"try {k}", usd=0.1),) for k in range(4)]
    sets = [[str(k)] for k in range(4)]
    more = {"paths": ways, "prediction_set": sets, "usd": 0.4, "parameters": {"abstained": [True, False, False, True]}}
    got = ask(SelfConsistent(2, "answer"), texts("a", "a", "b", "c"), **more)
    assert [got.row_path(row)[-1].because for row in (0, 1)] == ["try 0", "try 2"]
    assert got.prediction_set == [["0"], ["2"]]
    assert got.parameters == {"abstained": [True, False]}
    assert [got.row_usd(row, 2) for row in (0, 1)] == pytest.approx([0.2, 0.2])


def test_what_cannot_be_compared_is_refused():
    with pytest.raises(ValueError, match="at least 2"):
        SelfConsistent(1)
    with pytest.raises(BadData, match="no output 'other' to compare tries by"):
        ask(SelfConsistent(2, "other"), texts("a", "a", "b", "c"))

    async def pieces() -> AsyncIterator[Tensor]:
        yield texts("a")

    async def streaming(request: Request) -> Response:
        return Response(request.id, pieces())

    with pytest.raises(BadData, match="streams"):
        asyncio.run(SelfConsistent(2)(streaming)(QUESTION))
