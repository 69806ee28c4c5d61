"""Innermost wrappers that work on arrays become part of the engine; all others stay around the handler."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from roadworthy.core.errors import SpecError
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.fold import Folded, fold, on_response
from roadworthy.serve.wrappers.calibrated import Calibrated
from roadworthy.serve.wrappers.lac import Lac
from roadworthy.serve.wrappers.rescale import Rescale
from roadworthy.serve.wrappers.temperature import Temperature

Arrays = Mapping[str, NDArray[Any]]


@dataclass(frozen=True)
class Half:
    streams: bool = False

    def __call__(self, columns: Arrays) -> Arrays:
        return {"probability": np.full(len(columns["x"]), 0.5, np.float32)}


HARSH, MILD, RESCALE = Calibrated(2.0, 1.0), Calibrated(0.5, -1.0), Rescale("x")


def test_the_innermost_are_folded_from_the_inside_out() -> None:
    engine, left = fold(Half(), [RESCALE, HARSH, MILD])
    assert engine == Folded(Folded(Half(), MILD), HARSH)
    assert left == [RESCALE]
    assert repr(engine) == f"{HARSH!r}({MILD!r}(Half(streams=False)))"
    p = engine({"x": np.zeros((2, 1))})["probability"]
    assert p.tolist() == pytest.approx([float(HARSH.calibrate(MILD.calibrate(0.5)))] * 2)


def test_a_wrapper_outside_of_one_that_cannot_be_folded_stays_outside() -> None:
    assert fold(Half(), [HARSH, RESCALE]) == (Half(), [HARSH, RESCALE])


def test_nothing_is_folded_into_an_engine_that_streams() -> None:
    assert fold(Half(streams=True), [HARSH]) == (Half(streams=True), [HARSH])


def ask(wrapper: Any, response: Response) -> Response:
    async def inner(request: Request) -> Response:
        return response

    handler: Handler = inner
    return asyncio.run(on_response(wrapper, handler, Request("r", {}, 0.0)))


def test_around_a_handler_it_does_the_same_and_leaves_the_rest_alone() -> None:
    label, scores = Tensor("label", "BYTES", (2,), ["a", None]), Tensor("scores", "FP32", (2, 2), [0.0, 0.0, 1.0, None])
    got: Any = ask(Temperature(2.0), Response("r", {"label": label, "scores": scores}, seconds={"model": 1.0}))
    assert got.outputs["label"] is label
    assert (got.outputs["scores"].shape, got.outputs["scores"].datatype) == ((2, 2), "FP32")
    assert got.outputs["scores"].data[:2] == [0.5, 0.5]
    assert got.confidence[0] == 0.5
    assert got.seconds == {"model": 1.0}


def test_an_output_that_is_new_becomes_a_tensor() -> None:
    class Odds:
        def on_outputs(self, outputs: Arrays) -> Arrays:
            return {**outputs, "odds": outputs["p"] / (1 - outputs["p"])}

    got: Any = ask(Odds(), Response("r", {"p": Tensor("p", "FP64", (1,), [0.75])}, confidence=[0.7]))
    assert got.outputs["odds"] == Tensor("odds", "FP64", (1,), [3.0])
    assert got.confidence == [0.7]


def test_a_stream_is_refused_with_the_name_of_the_wrapper() -> None:
    async def pieces() -> Any:
        yield Tensor("t", "BYTES", (1,), ["a"])

    with pytest.raises(SpecError, match="cannot go through `calibrated`: take it out"):
        ask(Calibrated(), Response("r", pieces()))


def asked(made: Any, sure: list[float] | None) -> Response:
    async def inner(request: Request) -> Response:
        tensor = Tensor("probability", "FP64", (2,), [0.6, 0.9])
        return Response(request.id, {"probability": tensor}, confidence=sure)

    return asyncio.run(on_response(made, inner, Request("r", {}, 0.0)))


def test_what_was_said_of_confidence_outlives_a_wrapper_that_leaves_the_probabilities_alone() -> None:
    assert asked(Lac(0.5, output="probability"), [0.1, 0.2]).confidence == [0.1, 0.2]
    assert asked(Lac(0.5, output="probability"), None).confidence == [0.6, 0.9]
    assert asked(Calibrated(1.0, 0.0), [0.1, 0.2]).confidence == pytest.approx([0.6, 0.9])
