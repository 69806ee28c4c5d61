"""Every fallback in the catalog obeys the laws, and the laws catch fallbacks that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.fallback import Given, fallback
from roadworthy.testing import fallbacks as laws
from roadworthy.testing.fallbacks import check_fallback

Ask = Callable[[Request], Awaitable[Response]]

GIVEN = Given(Signature({"x": Field()}, {"probability": Field(), "sure": Field("boolean")}))


@pytest.mark.parametrize("name", list(fallback))
def test_every_fallback_obeys_the_laws(name: str, tmp_path: Path) -> None:
    check_fallback(fallback.get(name), tmp_path)


def test_there_are_the_four_that_the_project_file_knows() -> None:
    assert {"rule", "default", "cached", "previous"} <= set(fallback)


def leaf_of(ask: Ask) -> type:
    class Example:
        @classmethod
        def example(cls, folder: Path) -> tuple[Any, Given, dict[str, Tensor]]:
            def make(given: Given) -> Handler:
                return ask

            return make, GIVEN, {"x": Tensor("x", "FP32", (2, 1), [1.0, 2.0])}

    return Example


async def right(request: Request) -> Response:
    n = request.n
    outputs = {"probability": Tensor("probability", "FP32", (n,), [0.5] * n)}
    outputs["sure"] = Tensor("sure", "BOOL", (n,), [True] * n)
    return Response(request.id, outputs)


async def other_id(request: Request) -> Response:
    return replace(await right(request), id="mine")


async def one_row(request: Request) -> Response:
    return await right(replace(request, inputs={"x": Tensor("x", "FP32", (1, 1), [1.0])}))


async def without_an_output(request: Request) -> Response:
    outputs = (await right(request)).outputs
    assert isinstance(outputs, dict)
    return Response(request.id, {"probability": outputs["probability"]})


async def words(request: Request) -> Response:
    answer = await right(request)
    assert isinstance(answer.outputs, dict)
    data = ["high"] * request.n
    return replace(
        answer, outputs={**answer.outputs, "probability": Tensor("probability", "BYTES", (request.n,), data)}
    )


async def failing(request: Request) -> Response:
    raise ValueError("cannot")


async def in_place(request: Request) -> Response:
    request.inputs["x"].data[0] = 9.0
    return await right(request)


async def wrong_confidence(request: Request) -> Response:
    return replace(await right(request), confidence=[0.5] * 7)


async def under_a_timeout(request: Request) -> Response:
    async with asyncio.timeout(1):
        return await right(request)


class Counting:
    """Answers otherwise each time."""

    def __init__(self) -> None:
        self.n = 0.0

    async def __call__(self, request: Request) -> Response:
        self.n += 0.125
        answer = await right(request)
        assert isinstance(answer.outputs, dict)
        data = [self.n] * request.n
        counted = Tensor("probability", "FP32", (request.n,), data)
        return replace(answer, outputs={**answer.outputs, "probability": counted})


FAULTY: dict[str, Ask] = {
    "with the id 'mine'": other_id,
    "values of shape": one_row,
    "without 'sure'": without_an_output,
    "answers 'high' in 'probability'": words,
    r"cannot answer its own example: ValueError\('cannot'\)": failing,
    "changes the request": in_place,
    "number of confidences": wrong_confidence,
    "Timeout should be used inside a task": under_a_timeout,
    "answers otherwise": Counting(),
}


@pytest.mark.parametrize("law", FAULTY)
def test_a_faulty_fallback_is_caught_by_its_law(law: str, tmp_path: Path) -> None:
    with pytest.raises(AssertionError, match=law):
        check_fallback(leaf_of(FAULTY[law]), tmp_path)


def test_a_fallback_that_never_answers_is_caught(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr(laws, "LOST_AFTER_SECONDS", 0.05)

    async def lost(request: Request) -> Response:
        answer: asyncio.Future[Response] = asyncio.get_running_loop().create_future()
        return await answer

    with pytest.raises(AssertionError, match="neither an answer nor an error comes"):
        check_fallback(leaf_of(lost), tmp_path)


def test_a_fallback_that_is_right_passes_and_one_without_an_example_is_told_what_to_add(tmp_path: Path) -> None:
    check_fallback(leaf_of(right), tmp_path)
    with pytest.raises(AssertionError, match="add `@classmethod def example"):
        check_fallback(type("Bare", (), {}), tmp_path)
