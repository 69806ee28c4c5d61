from __future__ import annotations

import asyncio

import pytest

from roadworthy.core.errors import BadRequest
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.base import wrapper


def ask(request: Request) -> Request:
    seen: list[Request] = []

    async def inner(request: Request) -> Response:
        seen.append(request)
        return Response(request.id, {})

    async def run() -> None:
        await wrapper.make({"vocabulary": {"values": {"work": [" Private", " State-gov"]}}})(inner)(request)

    asyncio.run(run())
    return seen[0]


def test_a_category_reaches_the_model_as_the_model_knows_it() -> None:
    given = ["Private", " state-GOV ", None, "unheard of", " Private"]
    request = Request("r", {"work": Tensor("work", "BYTES", (5,), given)}, 0.0)
    assert ask(request).inputs["work"].data == [" Private", " State-gov", None, "unheard of", " Private"]
    assert request.inputs["work"].data[0] == "Private"


def test_a_missing_column_is_a_bad_request() -> None:
    with pytest.raises(BadRequest, match="no input 'work' with text"):
        ask(Request("r", {"job": Tensor("job", "BYTES", (1,), ["a"])}, 0.0))
