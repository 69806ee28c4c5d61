"""Every wrapper in the catalog obeys the laws, and the laws catch wrappers that do not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from msgspec.structs import replace

from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.testing import wrappers as laws
from roadworthy.testing.wrappers import check_wrapper

Ask = Callable[[Handler, Request], Awaitable[Response]]


@pytest.mark.parametrize("name", list(wrapper))
def test_every_wrapper_obeys_the_laws(name: str) -> None:
    check_wrapper(wrapper.get(name))


def leaf_of(ask: Ask) -> type:
    def wrap(inner: Handler) -> Handler:
        return lambda request: ask(inner, request)

    class Example:
        @classmethod
        def example(cls) -> tuple[Any, dict[str, Tensor]]:
            return wrap, {"x": Tensor("x", "FP32", (2, 1), [1.0, None])}

    return Example


async def through(inner: Handler, request: Request) -> Response:
    return await inner(request)


async def other_id(inner: Handler, request: Request) -> Response:
    return replace(await inner(request), id="mine")


async def rebuilt(inner: Handler, request: Request) -> Response:
    return await inner(Request(request.id, request.inputs, request.at, deadline=request.deadline, tags=request.tags))


async def swallowing(inner: Handler, request: Request) -> Response:
    try:
        return await inner(request)
    except Exception:
        return Response(request.id, {"probability": Tensor("probability", "FP64", (2,), [0.5, 0.5])})


async def first_row(inner: Handler, request: Request) -> Response:
    response = await inner(request)
    return replace(response, outputs={"probability": Tensor("probability", "FP64", (1,), [0.5])})


async def under_a_timeout(inner: Handler, request: Request) -> Response:
    async with asyncio.timeout(1):
        return await inner(request)


async def in_place(inner: Handler, request: Request) -> Response:
    request.inputs["x"].data[0] = 0.0
    return await inner(request)


async def forgetting_the_path(inner: Handler, request: Request) -> Response:
    response = await inner(request)
    return Response(response.id, response.outputs, seconds=response.seconds)


async def stale_confidence(inner: Handler, request: Request) -> Response:
    return replace(await inner(request), confidence=[0.5])


FAULTY = {
    "with the id 'mine'": other_id,
    "hands on `key`": rebuilt,
    "error of the inner": swallowing,
    "tensor of shape": first_row,
    "Timeout should be used inside a task": under_a_timeout,
    "changes the request": in_place,
    "loses the path": forgetting_the_path,
    "number of confidences": stale_confidence,
}


@pytest.mark.parametrize("law", FAULTY)
def test_a_faulty_wrapper_is_caught_by_its_law(law: str) -> None:
    with pytest.raises(AssertionError, match=law):
        check_wrapper(leaf_of(FAULTY[law]))


def test_a_wrapper_that_loses_every_other_request_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(laws, "LOST_AFTER_SECONDS", 0.05)

    async def losing(inner: Handler, request: Request) -> Response:
        if request.id.endswith("1"):
            await asyncio.get_running_loop().create_future()
        return await inner(request)

    with pytest.raises(AssertionError, match="loses 2 of 20 requests"):
        check_wrapper(leaf_of(losing))


def test_a_wrapper_that_does_nothing_passes() -> None:
    check_wrapper(leaf_of(through))


def test_a_wrapper_without_an_example_is_told_what_to_add() -> None:
    with pytest.raises(AssertionError, match="add `@classmethod def example"):
        check_wrapper(type("Bare", (), {}))


class Foldable:
    """Does nothing around a handler; what it does to arrays is for the faulty ones below to say."""

    @classmethod
    def example(cls) -> tuple[Any, dict[str, Tensor]]:
        return cls(), {"x": Tensor("x", "FP32", (2, 1), [1.0, None])}

    def __call__(self, inner: Handler) -> Handler:
        return inner


def scaled(outputs: Any) -> Any:
    return {**outputs, "probability": outputs["probability"] * 0.9}


def shifted(outputs: Any) -> Any:
    outputs["probability"] += 0.1
    return outputs


def renamed(outputs: Any) -> Any:
    return {"p": outputs["probability"], "scores": outputs["scores"]}


def flat(outputs: Any) -> Any:
    return {**outputs, "scores": outputs["scores"][:, 0]}


def ranked(outputs: Any) -> Any:
    n = len(outputs["probability"])
    return outputs if n != 1 else {**outputs, "probability": outputs["probability"] + 0.1}


def surer(outputs: Any) -> Any:
    return {**outputs, "confidence": outputs["probability"] * 0 + 0.99}


UNFOLDABLE = {
    "folded into the engine, answers": scaled,
    "changes the arrays": shifted,
    "instead of": renamed,
    "gives 'scores' the shape": flat,
    "probability": ranked,
    "and folded by": surer,
}


@pytest.mark.parametrize("law", UNFOLDABLE)
def test_a_wrapper_that_does_something_else_when_folded_is_caught(law: str) -> None:
    faulty = type("Faulty", (Foldable,), {"on_outputs": staticmethod(UNFOLDABLE[law])})
    with pytest.raises(AssertionError, match=law):
        check_wrapper(faulty)


def test_a_wrapper_that_does_nothing_passes_folded_too() -> None:
    check_wrapper(type("Sound", (Foldable,), {"on_outputs": staticmethod(dict)}))
