"""The previous release answers where there was one, under its own name."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from roadworthy.core.errors import Missing
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.serve.fallback import Given, answers_of

SIGNATURE = Signature({"x": Field()}, {"probability": Field()})
ASKED = Request("r", {"x": Tensor("x", "FP32", (1,), [1.0])}, 0.0)


def ask(given: Given) -> tuple[str, Response]:
    (answer,) = answers_of(["previous"], given)

    async def run() -> Any:
        return await answer.handler(ASKED)

    return answer.release, asyncio.run(run())


def test_the_previous_release_answers_for_itself() -> None:
    async def before(request: Request) -> Response:
        return Response(request.id, {}, "before", confidence=[0.9])

    release, answer = ask(Given(SIGNATURE, release="now", previous=before, previous_release="before"))
    assert (release, answer.release, answer.confidence) == ("before", "before", [0.9])


def test_a_first_release_has_none() -> None:
    with pytest.raises(Missing, match="no release was there before"):
        ask(Given(SIGNATURE, release="now"))
