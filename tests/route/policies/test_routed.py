from __future__ import annotations

import asyncio
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from msgspec.structs import replace

from roadworthy.core.charges import chances_of
from roadworthy.core.errors import BadRequest, RoadworthyError, SpecError
from roadworthy.core.wire import Handler, Request, Response, Step, Tensor
from roadworthy.route.base import policy
from roadworthy.route.policies.routed import Routed
from roadworthy.route.routing.routing import Routing
from roadworthy.testing.two_models import Coin, TopicRouter, both, recorded, request, ticking
from roadworthy.testing.virtual_clock import VirtualLoop, run

USD = {"small": 1.0, "large": 10.0}
EASY, HARD, ODD = 0, 1, 2


def rng() -> np.random.Generator:
    return np.random.default_rng(7)


def made(settings: Routed, weak: Coin | None = None, strong: Coin | None = None, **given: Any) -> Routing:
    handlers = both(weak or Coin([0.9, 0.3, 0.5]), strong or Coin([0.95, 0.9, 0.9], "other_luck"))
    return settings.over(handlers, TopicRouter([0.05, 0.6]), "3f2a9c", **given)


def ask(handler: Handler, *requests: Request) -> list[Response]:
    async def main() -> list[Response]:
        return [await handler(one) for one in requests]

    return asyncio.run(main())


def path(response: Response) -> list[Step]:
    return [*response.path]


def test_the_cheap_model_answers_below_the_threshold_and_the_path_says_why_and_at_what_price() -> None:
    (got,) = ask(made(Routed(usd=USD), now=ticking(0.5)), request("a", [EASY], rng()))
    told = "gain 0.05 below 0.15 (segment topic 0)"
    assert path(got) == [
        Step("router", f"{told}, chances small=1 large=0, router 3f2a9c", 0.0, 0.5),
        Step("small", f"{told}, propensity 1, router 3f2a9c", 1.0, 0.5),
    ]
    assert got.usd == 1.0


def test_the_dear_model_answers_from_the_threshold_on_and_what_is_odd() -> None:
    hard, odd = ask(made(Routed(usd=USD)), request("a", [HARD], rng()), request("b", [ODD], rng()))
    assert [step.at for step in hard.path] == [step.at for step in odd.path] == ["router", "large"]
    assert hard.path[1].because.startswith("gain 0.6 reaches 0.15")
    assert odd.path[1].because.startswith("unlike what the router was fitted on: large answers")


def test_the_routers_own_time_is_billed() -> None:
    (got,) = ask(made(Routed(usd=USD, router_usd_per_hour=3600.0), now=ticking(0.5)), request("a", [EASY], rng()))
    assert (got.path[0].usd, got.usd) == (0.5, 1.5)


def test_rows_of_one_request_part_and_come_back_in_order_each_with_its_own_way_and_price() -> None:
    weak, strong = Coin([1.0, 1.0, 1.0]), Coin([0.0, 0.0, 0.0], "other_luck")
    (got,) = ask(made(Routed(usd=USD), weak, strong), request("a", [HARD, EASY, ODD, EASY], rng()))
    assert isinstance(got.outputs, Mapping)
    assert got.outputs["probability"].data == [0.2, 0.9, 0.2, 0.9]
    assert [got.row_path(row)[-1].at for row in range(4)] == ["large", "small", "large", "small"]
    assert [got.row_usd(row, 4) for row in range(4)] == [10.0, 1.0, 10.0, 1.0]
    assert got.usd == 22.0
    assert weak.batches == [2]  # both cheap rows in one batch
    assert sum(strong.batches) == 2


# 3,000 rows of either kind: four standard deviations of a share of 0.1 are 0.022.
def test_comparisons_are_drawn_at_the_chances_that_the_path_tells() -> None:
    handler = made(Routed(usd=USD, audit=0.1, explore=0.1, usd_per_day=1e9))
    found = ask(handler, *(request(f"r{k}", [k % 2], rng()) for k in range(6000)))
    for topic, wanted, other in ((EASY, "small", "large"), (HARD, "large", "small")):
        rows = found[topic::2]
        assert {tuple((chances_of(got.path) or {}).items()) for got in rows} == {
            (("small", 0.9), ("large", 0.2)) if topic == EASY else (("small", 0.2), ("large", 0.9))
        }
        ways = [tuple(step.at for step in got.path[1:]) for got in rows]
        assert np.mean([set(way) == {"small", "large"} for way in ways]) == pytest.approx(0.1, abs=0.022)
        assert np.mean([way == (other,) for way in ways]) == pytest.approx(0.1, abs=0.022)
        assert np.mean([way == (wanted,) for way in ways]) == pytest.approx(0.8, abs=0.03)


def test_an_audit_answers_with_the_dear_models_answer_and_keeps_the_cheap_ones_beside() -> None:
    handler = made(Routed(usd=USD, audit=0.999, usd_per_day=1e9), Coin([1.0]), Coin([0.0], "other_luck"))
    (got,) = ask(handler, request("a", [EASY], rng()))
    assert isinstance(got.outputs, Mapping)
    assert {name: tensor.data for name, tensor in got.outputs.items()} == {
        "probability": [0.2],
        "small.probability": [0.9],
        "small.confidence": [0.9],
    }
    assert got.path[2].because.startswith("comparison: gain 0.05 below")
    assert got.usd == 11.0


def test_the_same_request_is_drawn_alike_and_another_salt_draws_others() -> None:
    def drawn(salt: str) -> list[int]:
        handler = made(Routed(usd=USD, audit=0.3, usd_per_day=1e9, salt=salt))
        return [len(got.path) for got in ask(handler, *(request(f"r{k}", [EASY], rng()) for k in range(50)))]

    assert drawn("a") == drawn("a") != drawn("b")


def test_comparisons_never_cost_more_than_the_cap_and_the_chances_follow_it() -> None:
    clock = [0.0]
    handler = made(Routed(usd=USD, audit=0.5, usd_per_hour=45.0, usd_per_day=70.0), now=lambda: clock[0])
    spent: list[tuple[int, float]] = []  # minute, dollars
    for k in range(300):
        clock[0], minute = k * 36.0, k * 36 // 60  # 100 requests an hour
        hour, day = sum(usd for at, usd in spent if at >= minute - 60), sum(usd for _, usd in spent)
        (got,) = ask(handler, request(f"r{k}", [EASY], rng()))
        compared = [step for step in got.path if step.because.startswith("comparison")]
        spent += [(minute, step.usd or 0.0) for step in compared]
        room = hour + 10.0 <= 45.0 and day + 10.0 <= 70.0
        assert (chances_of(got.path) or {})["large"] == (0.5 if room else 0.0)
    assert sum(usd for _, usd in spent) == handler.granting.total == 70.0


def test_without_a_known_price_nothing_is_compared() -> None:
    handler = made(Routed(audit=0.9, usd_per_day=1e9))
    found = ask(handler, *(request(f"r{k}", [EASY], rng()) for k in range(20)))
    assert {len(got.path) for got in found} == {2}


def test_a_mirrored_request_is_never_compared() -> None:
    handler = made(Routed(usd=USD, audit=0.999, usd_per_day=1e9))
    (got,) = ask(handler, Request("a", request("a", [EASY], rng()).inputs, 0.0, shadow=True))
    assert len(got.path) == 2


class Slow:
    """Answers after `seconds`, with its name as confidence."""

    def __init__(self, loop: VirtualLoop, seconds: float) -> None:
        self.loop, self.seconds, self.cancelled = loop, seconds, 0

    async def __call__(self, asked: Request) -> Response:
        done = self.loop.create_future()
        timer = self.loop.call_later(self.seconds, done.set_result, None)
        try:
            await done
        except asyncio.CancelledError:
            timer.cancel()
            self.cancelled += 1
            raise
        outputs = {"probability": Tensor("probability", "FP32", (asked.n,), [self.seconds] * asked.n)}
        return Response(asked.id, outputs, confidence=[0.9] * asked.n)


def slow(settings: Routed, topic: int, weak: float, strong: float) -> tuple[Response, float, Slow]:
    async def main(loop: VirtualLoop) -> tuple[Response, float, Slow]:
        handlers = {"small": Slow(loop, weak), "large": Slow(loop, strong)}
        handler = settings.over(handlers, TopicRouter([0.05, 0.6]), now=loop.time)
        return await handler(request("a", [topic], rng())), loop.time(), handlers["small"]

    return run(main)


ALWAYS = Routed(usd=USD, audit=0.999, usd_per_day=1e9)


def test_a_comparison_beside_the_dear_model_delays_nobody() -> None:
    got, seconds, small = slow(ALWAYS, HARD, weak=1.0, strong=3.0)
    assert seconds == 3.0
    assert [(step.at, step.seconds) for step in got.path[1:]] == [("large", 3.0), ("small", 1.0)]
    assert small.cancelled == 0


def test_a_comparison_that_is_not_there_in_time_is_given_up_and_billed() -> None:
    got, seconds, small = slow(ALWAYS, HARD, weak=5.0, strong=3.0)
    assert (seconds, small.cancelled) == (3.0, 1)
    assert got.path[2] == Step("small", "failed: too late to be compared", 1.0)
    assert got.usd == 11.0


def test_an_audit_of_a_cheap_request_takes_as_long_as_the_slower_of_the_two() -> None:
    assert slow(ALWAYS, EASY, weak=1.0, strong=3.0)[1] == 3.0


def test_a_cheap_model_that_fails_is_tried_again_billed_and_stood_in_for() -> None:
    handler = made(Routed(usd=USD, tries=2, failed_share=0.5), Coin([0.9], failing=True))
    (got,) = ask(handler, request("a", [EASY], rng()))
    assert [(step.at, step.usd) for step in got.path[1:]] == [("small", 0.5), ("small", 0.5), ("large", 10.0)]
    assert got.path[1].because.startswith("failed: ")
    assert got.path[3].because.startswith("small failed: gain 0.05")
    assert chances_of(got.path) == {"small": 1.0, "large": 1.0}
    assert got.usd == 11.0


def test_a_dear_model_that_fails_is_stood_in_for_and_rests_until_a_probe_finds_it_back() -> None:
    clock = [0.0]
    strong = Coin([0.9, 0.9], "other_luck", failing=True)
    handler = made(Routed(usd=USD, most_failures=2, rest_seconds=10.0), strong=strong, now=lambda: clock[0])
    ways = []
    for second in (0, 1, 2, 8, 14, 15):  # 10 seconds, give or take a quarter
        clock[0] = float(second)
        strong.failing = second < 11
        (got,) = ask(handler, request(f"r{second}", [HARD], rng()))
        ways.append([step.at for step in got.path[1:]])
    assert ways == [["large", "small"], ["large", "small"], ["small"], ["small"], ["large"], ["large"]]


def test_where_both_fail_the_error_of_the_one_that_was_wanted_goes_out() -> None:
    handler = made(Routed(), Coin([0.9], failing=True), Coin([0.9], "other_luck", failing=True))
    with pytest.raises(RoadworthyError, match="RuntimeError: planted"):
        ask(handler, request("a", [EASY], rng()))
    assert (handler.weak.in_flight, handler.strong.in_flight) == (0, 0)


def test_the_callers_own_mistake_is_not_stood_in_for() -> None:
    handler = made(Routed())
    broken = Request("a", {"topic": Tensor("topic", "FP32", (1, 1), [EASY])}, 0.0)
    with pytest.raises(BadRequest, match="luck"):
        ask(handler, broken)
    assert (handler.weak.why_not, handler.weak.in_flight, handler.strong.handler.snapshot().batches) == ("", 0, 0)


def test_a_full_dear_model_leaves_the_request_to_the_cheap_one() -> None:
    handler = made(Routed(most_in_flight={"large": 1}))
    handler.strong.in_flight = 1
    (got,) = ask(handler, request("a", [HARD], rng()))
    assert got.path[1].because.startswith("large has 1 calls under way: small answers")


def test_load_and_live_prices_move_the_bar() -> None:
    async def dear(asked: Request) -> Response:
        return Response(asked.id, {}, usd=30.0)

    settings = Routed(usd=USD, gain_per_second=0.1, gain_per_usd=0.02, usual_seconds=1.0, usual_usd=9.0)
    handler = settings.over({**both(Coin([0.9]), Coin([0.9])), "large": dear}, TopicRouter([0.6]), now=ticking(2.0))
    raises = handler.chooser.worth.raises
    assert raises(handler.weak, handler.strong) == pytest.approx(-0.1)
    ask(handler, request("a", [EASY], rng()))
    # A row of the dear model costs 10 + 0.06 * (30 - 10) of late, and a call of it takes 2 seconds.
    assert raises(handler.weak, handler.strong) == pytest.approx(0.1 * 1.0 + 0.02 * 1.2)
    handler.strong.in_flight = 1
    assert raises(handler.weak, handler.strong) == pytest.approx(0.1 * 3.0 + 0.02 * 1.2)


def test_after_the_answer_a_low_confidence_goes_on_and_both_calls_are_billed() -> None:
    handler = made(Routed(when="after", confidence=0.85, usd=USD), Coin([0.5, 0.5]), Coin([1.0, 1.0], "other_luck"))
    (got,) = ask(handler, request("a", [0] * 40, rng()))
    assert isinstance(got.outputs, Mapping)
    cheap = np.array(got.outputs["small.probability"].data, float)
    went = np.array([got.row_path(row)[-1].at == "large" for row in range(40)])
    assert 5 < went.sum() < 35
    # What the cheap model said is kept for the rows that went on; it was surely wrong, with a confidence of 0.8.
    assert np.isnan(cheap[~went]).all()
    assert set(cheap[went]) == {0.2}
    assert got.outputs["probability"].data == [0.9] * 40
    row = int(np.flatnonzero(went)[0])
    assert got.row_path(row)[-1].because == "confidence 0.8 below 0.85, propensity 1, router 3f2a9c"
    assert chances_of(got.row_path(row)) == {"small": 1.0, "large": 1.0}
    assert got.usd == pytest.approx(40 + 10 * went.sum())


def test_after_the_answer_what_would_be_explored_is_asked_beside() -> None:
    settings = Routed(when="after", confidence=0.5, usd=USD, explore=0.999, usd_per_day=1e9)
    (got,) = ask(made(settings), request("a", [0], rng()))
    assert [step.at for step in got.path] == ["router", "small", "large"]
    assert got.path[2].because.startswith("comparison: ")


def test_a_cheap_answer_that_was_not_good_enough_stands_where_the_dear_model_fails() -> None:
    settings = Routed(when="after", confidence=0.95, usd=USD)
    (got,) = ask(made(settings, strong=Coin([0.9], failing=True)), request("a", [0], rng()))
    assert [step.at for step in got.path] == ["router", "large", "small"]
    assert got.path[2].because.startswith("large failed: ")


@pytest.mark.parametrize(("chance", "way"), [(0.9, ["small", "verifier"]), (0.3, ["small", "verifier", "large"])])
def test_a_verifier_is_shown_the_answer_and_decides(chance: float, way: list[str]) -> None:
    seen: list[Request] = []

    async def verifier(asked: Request) -> Response:
        seen.append(asked)
        return Response(asked.id, {"right": Tensor("right", "FP32", (asked.n,), [chance] * asked.n)}, usd=0.5)

    handlers = {**both(Coin([0.9]), Coin([0.9], "other_luck")), "judge": verifier}
    handler = Routed(when="after", verifier="judge", usd=USD).over(handlers, None)
    (got,) = ask(handler, request("a", [0], rng()))
    assert [step.at for step in got.path[1:]] == way
    assert got.path[2].usd == 0.5
    assert seen[0].inputs["answer.probability"].shape == (1,)


def test_a_router_that_looks_at_answers_is_asked_after_the_answer_too() -> None:
    class Both(TopicRouter):
        def gain_after(self, asked: Request, response: Response) -> Any:
            return TopicRouter([0.6, 0.6]).gain(asked)

    handler = Routed(when="both", usd=USD).over(both(Coin([0.9]), Coin([0.9], "other_luck")), Both([0.0]))
    (got,) = ask(handler, request("a", [EASY, EASY], rng()))
    assert [step.at for step in got.row_path(1)] == ["router", "small", "large"]
    assert got.row_path(1)[2].because.startswith("gain after the answer 0.6 reaches 0.15")


def test_a_session_latches_to_the_dear_model_after_it_was_wanted_three_times() -> None:
    handler = made(Routed(stickiness="latch", latch_after=3, usd=USD))
    topics = [HARD, EASY, HARD, EASY, HARD, EASY]
    found = ask(handler, *(request(f"r{k}", [topic], rng(), key="me") for k, topic in enumerate(topics)))
    assert [got.path[1].at for got in found] == ["large", "small", "large", "small", "large", "large"]
    assert "wanted the dearer model 3 times and stays there" in found[-1].path[1].because
    assert chances_of(found[-1].path) == {"small": 0.0, "large": 1.0}


def test_a_session_stays_where_it_began() -> None:
    handler = made(Routed(stickiness="session", latch_after=2, usd=USD))
    topics = [EASY, HARD, EASY, HARD, EASY]
    found = ask(handler, *(request(f"r{k}", [topic], rng(), key="me") for k, topic in enumerate(topics)))
    assert [got.path[1].at for got in found] == ["small", "small", "small", "small", "large"]


def test_many_requests_at_once_leave_nothing_under_way() -> None:
    handler = made(Routed(usd=USD, audit=0.3, explore=0.2, usd_per_day=1e9))

    async def main() -> list[Response]:
        asked = [handler(request(f"r{k}", [k % 3, (k + 1) % 3], rng())) for k in range(60)]
        return await asyncio.gather(*asked)

    found = asyncio.run(main())
    assert [got.id for got in found] == [f"r{k}" for k in range(60)]
    assert (handler.weak.in_flight, handler.strong.in_flight) == (0, 0)
    for got in found:
        assert got.usd == pytest.approx(sum(got.row_usd(row, 2) or 0.0 for row in range(2)))


def test_records_keep_what_each_row_cost() -> None:
    handler = made(Routed(usd=USD, audit=0.3, usd_per_day=1e9))
    rows = asyncio.run(recorded(handler, [request(f"r{k}", [0, 1, 0], rng()) for k in range(30)]))
    assert all(row.usd == pytest.approx(sum(step.usd or 0.0 for step in row.path)) for row in rows)


def test_impossible_settings_are_refused() -> None:
    for settings, words in (
        ({"audit": 0.1}, "need `usd_per_hour` or `usd_per_day`"),
        ({"audit": 0.6, "explore": 0.5, "usd_per_day": 1}, "must stay below 1"),
        ({"confidence": 1.5, "when": "after"}, "`confidence` must be between 0 and 1, got 1.5"),
        ({"confidence": 0.5}, "look at an answer"),
        ({"tries": 0}, "must be at least 1"),
    ):
        with pytest.raises(SpecError, match=words):
            policy.make({"routed": settings})


def test_absent_members_and_routers_are_refused(tmp_path: Path) -> None:
    handlers = both(Coin([0.9]), Coin([0.9]))
    with pytest.raises(SpecError, match="chooses between two models, the cheaper one first; got small"):
        Routed().over({"small": handlers["small"]}, TopicRouter([]))
    with pytest.raises(SpecError, match="no member named 'tiny'"):
        Routed(usd={"tiny": 1.0}).over(handlers, TopicRouter([]))
    with pytest.raises(SpecError, match="`routed` has no router"):
        Routed()(handlers)
    with pytest.raises(SpecError, match="to read a router from"):
        Routed(file=tmp_path / "gone.json")(handlers)
    with pytest.raises(SpecError, match="this router does not look at answers"):
        Routed(when="both").over(handlers, TopicRouter([]))


def test_a_cheap_answer_goes_out_where_the_dear_one_would_come_after_the_deadline() -> None:
    async def slow(request: Request) -> Response:
        await asyncio.sleep(10.0)
        raise AssertionError("nobody waits for it")

    async def quick(request: Request) -> Response:
        answer = Tensor("probability", "FP64", (request.n,), [0.5] * request.n)
        return Response(request.id, {"probability": answer}, confidence=[0.5] * request.n)

    async def main(loop: VirtualLoop) -> tuple[Response, float]:
        handler = Routed(when="after", confidence=0.9, usd=USD, tries=3).over(
            {"small": quick, "large": slow}, None, now=loop.time
        )
        got = await handler(replace(request("a", [EASY], rng()), deadline=loop.time() + 1.0))
        return got, loop.time()

    got, ended = run(main)
    assert 0.9 < ended < 1.0
    assert [step.at for step in got.path] == ["router", "large", "small"]
    assert "no answer" in got.path[1].because
