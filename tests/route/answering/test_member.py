"""A member is timed, priced, and left alone while it fails."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

import pytest

from roadworthy.core.breaker import Breaker
from roadworthy.core.errors import BadRequest, Late, Overloaded
from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.route.answering.member import NEWEST, Member, NotAsked
from roadworthy.testing.virtual_clock import VirtualLoop, run


class Model:
    """Answers in `seconds` at `usd`, or raises `fails`."""

    def __init__(self, now: Callable[[], float] = lambda: 0.0) -> None:
        self.now, self.asked = now, 0
        self.seconds, self.usd = 0.0, None
        self.fails: Exception | None = None

    async def __call__(self, request: Request) -> Response:
        self.asked += 1
        if self.seconds:
            done = asyncio.get_running_loop().create_future()
            asyncio.get_running_loop().call_later(self.seconds, done.set_result, None)
            await done
        if self.fails is not None:
            raise self.fails
        return Response(request.id, {}, usd=self.usd)


def member(model: Model, usd: float | None = None, now: Callable[[], float] | None = None, **more: int) -> Member:
    clock = now or model.now
    # Twice in a row, and one caller finds out whether it is back.
    breaker = Breaker(clock, Random(0), 0.75, 2, 2, float("inf"), 10.0, 10.0, probes=1, z=0.0)
    return Member("small", model, usd, clock, breaker, **more)


def request(rows: int = 1) -> Request:
    return Request("r", {"x": Tensor("x", "FP32", (rows,), [0.0] * rows)}, 0.0)


def ask(handler: Member, *requests: Request) -> list[Response | Exception]:
    async def main() -> list[Response | Exception]:
        return [(await handler.ask(one))[0] for one in requests]

    return asyncio.run(main())


def test_latency_is_what_a_call_takes_alone_times_those_under_way():
    async def main(loop: VirtualLoop) -> None:
        model = Model()
        handler = member(model, now=loop.time)
        model.seconds = 3.0
        first, second = (asyncio.ensure_future(handler.ask(request(2))) for _ in range(2))
        await asyncio.sleep(1.0)
        assert (handler.in_flight, handler.rows_in_flight) == (2, 4)
        assert [(await one)[1] for one in (first, second)] == [3.0, 3.0]
        assert (handler.in_flight, handler.rows_in_flight) == (0, 0)
        # The second had one before it, so that alone it would have taken half of that.
        assert handler.seconds == pytest.approx(3.0 + NEWEST * (1.5 - 3.0))
        handler.in_flight = 1
        assert handler.seconds == pytest.approx(2 * (3.0 + NEWEST * (1.5 - 3.0)))

    run(main)


def test_the_live_price_follows_what_answers_cost_and_the_worst_is_kept():
    model = Model()
    handler = member(model, usd=2.0)
    for usd in (4.0, 1.0):
        model.usd = usd * 3
        (found,) = ask(handler, request(3))
        assert isinstance(found, Response)
        assert handler.bill(found, 3) == usd * 3
    assert handler.usd == pytest.approx((2 + NEWEST * 2) * (1 - NEWEST) + NEWEST * 1)
    assert (handler.worst_usd, handler.said_usd) == (4.0, 2.0)
    untold = Response("r", {})
    assert (handler.bill(untold, 3), handler.costs(untold, 3)) == (6.0, [2.0, 2.0, 2.0])
    assert member(model).bill(untold, 3) is None


def test_one_caller_finds_out_whether_a_resting_member_is_back():
    at = [0.0]
    model = Model(lambda: at[0])
    handler = member(model)
    model.fails = RuntimeError("a defect")
    ask(handler, request(), request())
    assert handler.why_not == "small failed too often and rests"
    with pytest.raises(NotAsked, match="'small' failed too often and is not asked for another"):
        asyncio.run(handler(request()))
    assert model.asked == 2
    at[0] = 20.0
    assert handler.why_not == ""
    ticket = handler.breaker.admit()
    assert handler.why_not, "somebody is finding out"
    assert ticket is not None
    handler.breaker.forget(ticket)
    model.fails = None
    assert isinstance(ask(handler, request())[0], Response)
    assert handler.why_not == ""


def test_whoever_must_be_asked_is_asked_while_it_rests():
    model = Model()
    handler = member(model)
    model.fails = RuntimeError("a defect")
    found = ask(handler, *[request()] * 5)
    assert (model.asked, {type(one) for one in found}) == (5, {RuntimeError})


@pytest.mark.parametrize("fails", [BadRequest("no such input"), Overloaded("the queue is full")])
def test_a_callers_mistake_and_a_full_queue_are_no_failures(fails):
    model = Model()
    handler = member(model)
    model.fails = fails
    ask(handler, *[request()] * 5)
    assert handler.why_not == ""
    model.fails = Late("too late")
    ask(handler, *[request()] * 2)
    assert handler.why_not


def test_a_full_member_says_so():
    handler = member(Model(), most_in_flight=1)
    assert handler.why_not == ""
    handler.in_flight = 1
    assert handler.why_not == "small has 1 calls under way"


def test_who_gives_up_leaves_nothing_under_way():
    async def main(loop: VirtualLoop) -> None:
        model = Model()
        handler = member(model, now=loop.time)
        model.seconds = 9.0
        with pytest.raises(Late):
            await handler(request(), until=1.0)
        task = asyncio.ensure_future(handler(request()))
        await asyncio.sleep(1.0)
        task.cancel()
        await asyncio.sleep(0.0)
        assert (handler.in_flight, handler.rows_in_flight) == (0, 0)

    run(main)
