"""The last good answer comes from the release's cache where there is one, and else from a memory of its own."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from roadworthy.core.errors import Missing
from roadworthy.core.spec import Field, Signature
from roadworthy.core.wire import Handler, Request, Response, Tensor
from roadworthy.serve.fallback import Given
from roadworthy.serve.fallbacks.cached import Cached
from roadworthy.serve.wrappers.cache import Cache, Caching

SIGNATURE = Signature({"x": Field()}, {"probability": Field()})


def request(x: float, id: str = "r") -> Request:
    return Request(id, {"x": Tensor("x", "FP32", (1,), [x])}, 0.0)


def answer(p: float, **others: Any) -> Response:
    return Response("old", {"probability": Tensor("probability", "FP32", (1,), [p])}, "digest", **others)


def ask(handler: Handler, asked: Request) -> Response:
    async def run() -> Response:
        return await handler(asked)

    return asyncio.run(run())


def test_it_answers_what_it_learned_last_by_the_id_of_who_asks() -> None:
    handler: Any = Cached()(Given(SIGNATURE))
    handler.learn(request(1.0), answer(0.2))
    handler.learn(request(1.0), answer(0.3, confidence=[0.7]))
    found = ask(handler, request(1, "new"))
    assert (found.id, found.outputs, found.confidence) == ("new", answer(0.3).outputs, [0.7])
    assert found.parameters["cached"] is True


def test_it_has_no_answer_to_what_it_never_saw() -> None:
    handler: Any = Cached()(Given(SIGNATURE))
    handler.learn(request(1.0), answer(0.2, parameters={"no-store": True}))
    for x in (1.0, 2.0):
        with pytest.raises(Missing, match="no answer is remembered for the input of request 'r'"):
            ask(handler, request(x))


def test_the_releases_cache_answers_after_its_time_and_needs_no_teaching() -> None:
    at = [0.0]

    async def model(asked: Request) -> Response:
        return answer(0.4)

    cache = Caching(model, Cache(ttl_seconds=10, stale_seconds=50), lambda: at[0])
    handler = Cached()(Given(SIGNATURE, remembered=cache.stale))
    assert not hasattr(handler, "learn")
    ask(cache, request(1.0))
    at[0] = 40.0
    assert ask(handler, request(1.0)).path[0].because == "kept for 40 s"
    at[0] = 61.0
    with pytest.raises(Missing):
        ask(handler, request(1.0))
