from __future__ import annotations

import asyncio

import pytest

from roadworthy.core.wire import Request, Response
from roadworthy.rollout.shadow import Shadow
from roadworthy.testing.wrappers import drive


async def inner(request: Request) -> Response:
    return Response(request.id, {}, release="old")


class Mirror:
    """A handler that waits until it is let go, and keeps what it was shown."""

    def __init__(self, wrong: Exception | None = None) -> None:
        self.seen: list[Request] = []
        self.free = asyncio.Event()
        self.wrong = wrong

    async def __call__(self, request: Request) -> Response:
        self.seen.append(request)
        await self.free.wait()
        if self.wrong is not None:
            raise self.wrong
        return Response(request.id, {}, release="new")


def request(identity: str = "r") -> Request:
    return Request(identity, {}, 5.0, key="k", tags={"a": "b"}, deadline=1.0)


def test_the_answer_is_the_inner_one_and_waits_for_no_mirror() -> None:
    async def run() -> None:
        mirror = Mirror()
        shadow = Shadow(inner, mirror)
        assert (await drive(shadow, request())).release == "old"
        assert mirror.seen == []
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        assert mirror.seen == [Request("r", {}, 5.0, key="k", tags={"a": "b"}, shadow=True)]
        assert shadow.in_flight == 1
        mirror.free.set()
        await shadow.drain()
        assert (shadow.in_flight, shadow.dropped, shadow.failed) == (0, 0, 0)

    asyncio.run(run())


def test_a_mirror_that_fails_is_counted_and_fails_nobody() -> None:
    def refusing(request: Request) -> Response:
        raise TimeoutError("full")

    async def run() -> None:
        mirror = Mirror(ArithmeticError("no wind"))
        mirror.free.set()
        for made in (Shadow(inner, mirror), Shadow(inner, refusing)):  # type: ignore[arg-type]
            assert [(await made(request(f"r{k}"))).release for k in range(3)] == ["old"] * 3
            await made.drain()
            assert made.failed == 3

    asyncio.run(run())


def test_above_most_in_flight_requests_are_dropped_and_counted() -> None:
    async def run() -> None:
        mirror = Mirror()
        shadow = Shadow(inner, mirror, most_in_flight=2)
        answers = await asyncio.gather(*[drive(shadow, request(f"r{k}")) for k in range(5)])
        assert len(answers) == 5
        assert (shadow.in_flight, shadow.dropped) == (2, 3)
        mirror.free.set()
        await shadow.drain()
        await shadow(request("later"))
        await shadow.drain()
        assert [seen.id for seen in mirror.seen] == ["r0", "r1", "later"]

    asyncio.run(run())


def test_a_request_that_the_inner_handler_fails_is_mirrored_too() -> None:
    async def failing(request: Request) -> Response:
        raise ArithmeticError("no wind")

    async def run() -> None:
        mirror = Mirror()
        mirror.free.set()
        shadow = Shadow(failing, mirror)
        with pytest.raises(ArithmeticError, match="no wind"):
            await drive(shadow, request())
        await shadow.drain()
        assert len(mirror.seen) == 1

    asyncio.run(run())


def test_draining_nothing_returns_and_several_may_drain() -> None:
    async def run() -> None:
        mirror = Mirror()
        shadow = Shadow(inner, mirror)
        await shadow.drain()
        await shadow(request())
        waiting = [asyncio.ensure_future(shadow.drain()) for _ in range(2)]
        await asyncio.sleep(0)
        mirror.free.set()
        await asyncio.gather(*waiting)

    asyncio.run(run())


def test_room_for_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="`most_in_flight` must be at least 1, got 0"):
        Shadow(inner, inner, most_in_flight=0)
