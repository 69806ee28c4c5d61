from __future__ import annotations

import pytest

from roadworthy.core.wire import Request, Response
from roadworthy.route.routing.members import NEWEST, Member


async def handler(asked: Request) -> Response:
    return Response(asked.id, {})


def test_latency_is_what_a_call_takes_alone_times_those_under_way() -> None:
    member = Member("small", handler)
    member.begin(0.0)
    member.begin(0.0)
    member.answer(3.0, None, 1, company=2)  # two others were before it
    assert member.seconds == pytest.approx(1.0 * 2)
    member.answer(1.0, None, 1, company=0)
    assert member.seconds == pytest.approx(1.0)


def test_the_live_price_follows_what_answers_cost_and_the_worst_is_kept() -> None:
    member = Member("small", handler, usd=2.0)
    for usd in (4.0, 1.0):
        member.begin(0.0)
        assert member.answer(0.1, usd * 3, 3, company=0) == usd * 3
    assert member.usd == pytest.approx((2 + NEWEST * 2) * (1 - NEWEST) + NEWEST * 1)
    assert member.worst_usd == 4.0
    member.begin(0.0)
    assert member.answer(0.1, None, 3, company=0) == 6.0  # what a row is said to cost


def test_one_caller_finds_out_whether_a_resting_member_is_back() -> None:
    member = Member("small", handler, most_failures=2, rest_seconds=10.0)
    for at in (0.0, 1.0):
        member.begin(at)
        member.fail(at)
    assert member.why_not(10.9) == "small rests after 2 failures"
    assert member.why_not(11.0) == ""
    member.begin(11.0)
    assert member.why_not(11.1)
    member.answer(0.1, None, 1, company=0)
    assert member.why_not(11.2) == ""
