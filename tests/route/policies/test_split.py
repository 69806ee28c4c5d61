from __future__ import annotations

import asyncio

import pytest

from roadworthy.core.errors import SpecError
from roadworthy.core.wire import Handler, Request, Response, Step
from roadworthy.route.base import policy
from roadworthy.route.policies.split import Split


def handler(name: str) -> Handler:
    async def answer(request: Request) -> Response:
        return Response(request.id, {}, release=name, path=(Step("model", "asked"),))

    return answer


HANDLERS = {"stable": handler("old"), "canary": handler("new")}


def ask(made: Split, identity: str = "r", key: str = "") -> Response:
    async def run() -> Response:
        return await made(HANDLERS)(Request(identity, {}, 0.0, key))

    return asyncio.run(run())


def arms(made: Split, n: int = 20000) -> list[bool]:
    return [made.arm(Request("r", {}, 0.0, f"user {k}")) == "canary" for k in range(n)]


def test_the_share_of_keys_goes_to_the_canary() -> None:
    # 20,000 keys: five standard deviations of a share of 0.1 are 0.0106.
    assert sum(arms(Split(0.1, "salt"))) / 20000 == pytest.approx(0.1, abs=0.0106)


def test_a_key_stays_where_it_is_when_the_share_grows() -> None:
    small, large = arms(Split(0.1, "salt")), arms(Split(0.5, "salt"))
    assert all(after for before, after in zip(small, large, strict=True) if before)


def test_another_salt_draws_other_keys() -> None:
    both = [a and b for a, b in zip(arms(Split(0.5, "one")), arms(Split(0.5, "two")), strict=True)]
    assert sum(both) / 20000 == pytest.approx(0.25, abs=0.0155)


def test_the_arm_that_is_told_is_the_handler_that_answers_and_the_path_says_why() -> None:
    for k in range(20):
        made, key = Split(0.5, "salt"), f"user {k}"
        got = ask(made, key=key)
        assert got.arm == made.arm(Request("other", {}, 0.0, key))
        assert got.release == {"stable": "old", "canary": "new"}[got.arm]
        because = "below the share 0.5" if got.arm == "canary" else "not below the share 0.5"
        assert got.path[0].at == "split"
        assert got.path[0].because.endswith(f", {because}")
        assert got.path[1] == Step("model", "asked")


def test_the_key_decides_and_without_one_the_id() -> None:
    made = Split(0.5, "salt")
    assert len({made.draw(Request(f"r{k}", {}, 0.0, "user")) for k in range(20)}) == 1
    assert made.draw(Request("user", {}, 0.0)) == made.draw(Request("r", {}, 0.0, "user"))


@pytest.mark.parametrize(("share", "arm"), [(0.0, "stable"), (1.0, "canary")])
def test_nobody_and_everybody_are_shares_too(share: float, arm: str) -> None:
    assert {ask(Split(share, "salt"), f"r{k}").arm for k in range(50)} == {arm}


def test_an_absent_handler_and_an_impossible_share_are_refused() -> None:
    with pytest.raises(SpecError, match="no handler to split over named 'canary'"):
        Split(0.1, "salt")({"stable": HANDLERS["stable"]})
    with pytest.raises(SpecError, match=r"`share` must be between 0 and 1, got 1\.5"):
        policy.make("split:share=1.5,salt=x")


def test_an_error_of_an_arm_passes_through() -> None:
    async def failing(request: Request) -> Response:
        raise ArithmeticError("no wind")

    async def run() -> None:
        await Split(1.0, "salt")({"stable": HANDLERS["stable"], "canary": failing})(Request("r", {}, 0.0))

    with pytest.raises(ArithmeticError, match="no wind"):
        asyncio.run(run())


def test_a_tag_may_be_the_key_and_the_request_without_it_has_its_own() -> None:
    made = Split(0.5, "salt", key="tenant")
    tagged = [Request(f"r{k}", {}, 0.0, f"user {k}", {"tenant": "acme"}) for k in range(20)]
    assert len({made.draw(request) for request in tagged}) == 1
    assert made.draw(Request("r", {}, 0.0, "user")) == Split(0.5, "salt").draw(Request("r", {}, 0.0, "user"))


def test_requests_outside_of_where_are_stable_s_and_their_path_does_not_mention_the_split() -> None:
    made = Split(1.0, "salt", where="origin=LGA")

    async def run(origin: str) -> Response:
        return await made(HANDLERS)(Request("r", {}, 0.0, tags={"origin": origin}))

    inside, outside = (asyncio.run(run(origin)) for origin in ("LGA", "JFK"))
    assert (inside.release, inside.arm, inside.path[0].at) == ("new", "canary", "split")
    assert (outside.release, outside.arm, outside.path) == ("old", "stable", (Step("model", "asked"),))
    assert made.arm(Request("r", {}, 0.0)) == "stable"


def test_a_shadow_takes_the_callers_that_a_canary_of_that_share_would() -> None:
    made = Split(0.3, "salt", where="origin=LGA")
    asked = [Request("r", {}, 0.0, f"user {k}", {"origin": ("LGA", "JFK")[k % 2]}) for k in range(200)]
    chosen = [made.chooses(request) for request in asked]
    assert chosen == [made.arm(request) == "canary" for request in asked]
    assert any(chosen)


def test_where_without_a_value_and_without_a_stable_handler_is_refused() -> None:
    with pytest.raises(ValueError, match="`where` names a tag and its value, as `origin=LGA`; got 'LGA'"):
        Split(0.1, "salt", where="LGA")
    with pytest.raises(SpecError, match="no handler to split over named 'stable'"):
        Split(0.1, "salt", "holdback", "canary", "origin=LGA")(
            {"holdback": HANDLERS["stable"], "canary": HANDLERS["canary"]}
        )
