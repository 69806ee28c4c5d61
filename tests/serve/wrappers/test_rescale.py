from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from roadworthy.core.errors import BadRequest, SpecError
from roadworthy.core.wire import Datatype, Request, Response, Tensor
from roadworthy.serve.base import wrapper
from roadworthy.serve.wrappers.rescale import Rescale


def seen_by_the_model(made: Rescale, data: Any, datatype: Datatype = "FP32", name: str = "temp") -> Any:
    seen: list[Request] = []

    async def inner(request: Request) -> Response:
        seen.append(request)
        return Response(request.id, {})

    async def run() -> None:
        inputs = {name: Tensor(name, datatype, (len(data), 1), data), "other": Tensor("other", "FP32", (1,), [1.0])}
        await made(inner)(Request("r", inputs, 0.0))

    asyncio.run(run())
    assert seen[0].inputs["other"].data == [1.0]
    return seen[0].inputs[name].data


def test_fahrenheit_becomes_celsius_and_a_null_stays_null() -> None:
    got = seen_by_the_model(Rescale("temp", 5 / 9, -160 / 9), [32.0, None, 212.0])
    assert got == [pytest.approx(0.0, abs=1e-9), None, pytest.approx(100.0)]


def test_an_hour_moves_to_utc_and_stays_a_whole_number() -> None:
    got = seen_by_the_model(Rescale("temp", offset=5, modulo=24), [0, 18, 19, None, 23], "INT64")
    assert got == [5, 23, 0, None, 4]
    assert all(isinstance(x, int) for x in got if x is not None)


def test_an_array_is_converted_in_its_own_type_and_left_as_it_was() -> None:
    for kind, datatype in ((np.int64, "INT64"), (np.float32, "FP32")):
        given = np.array([0, 19], kind)
        got = seen_by_the_model(Rescale("temp", offset=5, modulo=24), given, datatype)
        assert got.tolist() == [5, 0]
        assert got.dtype == kind
        assert given.tolist() == [0, 19]


def test_an_absent_or_textual_input_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match=r"no input 'tmp' with numbers to rescale; did you mean 'temp'"):
        seen_by_the_model(Rescale("tmp"), [1.0])
    with pytest.raises(BadRequest, match="no input 'temp' with numbers"):
        seen_by_the_model(Rescale("temp"), ["warm"], "BYTES")


def test_a_modulo_of_nothing_is_refused_by_the_plan() -> None:
    with pytest.raises(SpecError, match="`modulo` must be above 0, got 0"):
        wrapper.make({"rescale": {"column": "hour", "modulo": 0}})
