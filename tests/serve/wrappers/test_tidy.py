from __future__ import annotations

import asyncio
from typing import Any

import numpy as np
import pytest

from roadworthy.core.errors import BadRequest, SpecError
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.base import Wrapper, wrapper
from roadworthy.serve.wrappers.tidy import Tidied


def seen_by_the_model(made: Wrapper, **inputs: Tensor) -> dict[str, Any]:
    seen: list[Request] = []

    async def inner(request: Request) -> Response:
        seen.append(request)
        return Response(request.id, {})

    async def run() -> None:
        await made(inner)(Request("r", inputs, 0.0))

    asyncio.run(run())
    return {name: tensor.data for name, tensor in seen[0].inputs.items()}


def text(name: str, data: Any) -> Tensor:
    return Tensor(name, "BYTES", (len(data),), data)


def test_every_text_is_tidied_and_numbers_and_nulls_stay() -> None:
    n = Tensor("n", "FP32", (2,), [1.0, None])
    got = seen_by_the_model(
        Tidied(), a=text("a", ["ｗhere  is", None, b"raw  bytes"]), b=text("b", ["ca\u200brd"]), n=n
    )
    assert got == {"a": ["where is", None, b"raw  bytes"], "b": ["card"], "n": [1.0, None]}


def test_named_columns_only() -> None:
    got = seen_by_the_model(Tidied(("b",), ("lower",)), a=text("a", ["A"]), b=text("b", ["B"]))
    assert got == {"a": ["A"], "b": ["b"]}


def test_an_array_stays_an_array_and_is_not_written_into() -> None:
    given = np.array(["Ａ", None], dtype=object)
    got = seen_by_the_model(Tidied(), a=text("a", given))["a"]
    assert isinstance(got, np.ndarray)
    assert got.tolist() == ["A", None]
    assert given.tolist() == ["Ａ", None]


def test_an_absent_or_numeric_input_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match="no input 'txt' with text to change; did you mean 'text'"):
        seen_by_the_model(Tidied(("txt",)), text=text("text", ["a"]))
    with pytest.raises(BadRequest, match="no input 'n' with text"):
        seen_by_the_model(Tidied(("n",)), n=Tensor("n", "FP32", (1,), [1.0]))


def test_a_plan_names_its_steps() -> None:
    assert wrapper.make({"tidy": {"steps": ["nfkc"]}}) == Tidied(steps=("nfkc",))
    with pytest.raises(SpecError, match="nfkd"):
        wrapper.make({"tidy": {"steps": ["nfkd"]}})
    with pytest.raises(SpecError, match="`steps` must name at least one of mojibake, markup"):
        wrapper.make({"tidy": {"steps": []}})
