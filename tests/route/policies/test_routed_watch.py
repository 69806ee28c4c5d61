"""However a router is asked, it watches each request of its stream once, and after an alarm the dear model answers."""

from __future__ import annotations

import asyncio
from random import Random
from typing import Any

import numpy as np
import pytest

from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.route.policies.routed import Routed
from roadworthy.route.routers.fitting import fit
from roadworthy.route.routers.labelled import Labelled
from roadworthy.route.routers.router import GuardedAfter, Router
from roadworthy.route.routing.routing import Routing

WORDS = ("sum", "proof", "poem", "city", "river", "integral", "name", "colour", "law", "cell")


def prompts(n: int, seed: int) -> list[str]:
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, 5)) for _ in range(n)]


def shifted(n: int) -> list[str]:
    return [f"ein ganz anderer Text {k} in einer anderen Sprache" for k in range(n)]


@pytest.fixture(scope="module")
def router() -> Router:
    """Knows what two models gain on English words, and what the confidence of the cheap one has to do with it."""
    rng, asked = np.random.default_rng(0), prompts(300, 0)
    sure = rng.random(300)
    weak = (rng.random(300) < sure).astype(float)
    strong = (rng.random(300) < 0.9).astype(float)
    rows = Labelled({"prompt": asked}, strong, weak, after={"confidence": sure})
    return fit(rows, traffic={"prompt": prompts(600, 1)}, bits=10).router


def routing(router: Router, **settings: Any) -> tuple[Routing, GuardedAfter, list[str]]:
    """The policy over two models, the router with its watch, and who was asked."""
    asked: list[str] = []

    def model(name: str, sure: float) -> Any:
        async def answer(request: Request) -> Response:
            asked.append(name)
            out = {"answer": Tensor("answer", "BYTES", (request.n,), [name] * request.n)}
            return Response(request.id, out, confidence=[sure] * request.n)

        return answer

    guarded = GuardedAfter(router, Random(0))
    return (
        Routed(**settings).over({"small": model("small", 0.9), "large": model("large", 1.0)}, guarded),
        guarded,
        asked,
    )


def ask(handler: Routing, texts: list[str], **more: Any) -> list[Response]:
    def request(number: int) -> Request:
        prompt = Tensor("prompt", "BYTES", (1, 1), [texts[number]])
        return Request(f"r{number}", {"prompt": prompt}, 0.0, **more)

    async def main() -> list[Response]:
        return [await handler(request(number)) for number in range(len(texts))]

    return asyncio.run(main())


@pytest.mark.parametrize("settings", [{}, {"confidence": 0.95}], ids=["by the router", "by a confidence that is low"])
def test_a_shifted_stream_alarms_after_answers_too_and_falls_back_to_the_dear_model(router, settings):
    handler, guarded, asked = routing(router, when="after", **settings)
    calm = ask(handler, prompts(150, 2))
    assert guarded.watch.n == 150, "each request counts, whatever becomes of its answer"
    assert not guarded.watch.alarmed
    assert [step.at for step in calm[0].path][:2] == ["router", "small"]
    ask(handler, shifted(60))
    assert guarded.watch.alarmed
    assert {one.name: one.value for one in handler.measurements()}["router_alarm"] == 1.0
    asked.clear()
    for got in ask(handler, prompts(5, 3)):
        assert [step.at for step in got.path] == ["router", "large"]
        assert "became unlike those that the router was fitted on: alarm after" in got.path[1].because
    assert asked == ["large"] * 5, "nobody pays for the cheap model any more"


def test_after_an_alarm_a_share_still_asks_both_so_that_a_router_can_learn_anew_and_none_is_explored(router):
    prices = {"small": 1e-6, "large": 1e-5}
    handler, guarded, asked = routing(router, audit=0.3, explore=0.3, usd_per_day=1.0, usd=prices)
    ask(handler, shifted(60))
    assert guarded.watch.alarmed
    asked.clear()
    ways = [got.path for got in ask(handler, shifted(300))]
    assert asked.count("large") == 300, "the dear model answers each"
    # Four standard deviations of a share of 0.3 among 300 are 0.106.
    assert 58 <= asked.count("small") <= 122
    assert any("comparison" in step.because and "propensity 0.3" in step.because for way in ways for step in way)


@pytest.mark.parametrize("when", ["before", "after", "both"])
def test_each_request_is_watched_once_and_a_mirrored_one_never(router, when):
    handler, guarded, _ = routing(router, when=when)
    ask(handler, prompts(40, 4))
    ask(handler, prompts(20, 5), shadow=True)
    assert guarded.watch.n == 40


def test_a_router_that_cannot_look_at_answers_watches_for_a_policy_that_goes_by_confidence(router):
    class Before:
        """The gain before an answer, and the watch, alone."""

        def __init__(self, guarded: GuardedAfter) -> None:
            self.gain, self.measurements = guarded.gain, guarded.measurements

    _, guarded, _ = routing(router, when="after")
    small_first, _, _ = routing(router, when="after", confidence=0.5)
    handler = Routed(when="after", confidence=0.5).over(
        {"small": small_first.weak.handler, "large": small_first.strong.handler}, Before(guarded)
    )
    ways = [got.path[-1].at for got in ask(handler, [*prompts(20, 6), *shifted(60), *prompts(1, 7)])]
    assert ways[0] == "small"
    assert ways[-1] == "large"
