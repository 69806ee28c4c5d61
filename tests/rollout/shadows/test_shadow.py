from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Mapping

import pytest

from roadworthy.core.wire import Request, Response, Tensor
from roadworthy.rollout.shadows.shadow import Budget, Shadow
from roadworthy.testing.wrappers import drive

SOON = Budget(every_seconds=0.001, most_lag_seconds=60.0)


async def inner(request: Request) -> Response:
    return Response(request.id, {}, release="old")


class Mirror:
    """A handler that waits until it is let go, and keeps what it was shown."""

    def __init__(self, wrong: Exception | None = None, free: bool = True) -> None:
        self.seen: list[Request] = []
        self.free = asyncio.Event()
        self.wrong = wrong
        if free:
            self.free.set()

    async def __call__(self, request: Request) -> Response:
        self.seen.append(request)
        await self.free.wait()
        if self.wrong is not None:
            raise self.wrong
        return Response(request.id, {}, release="new")


def request(identity: str = "r") -> Request:
    return Request(identity, {}, 5.0, key="k", tags={"a": "b"}, deadline=1.0)


def run(story: Callable[[], Awaitable[None]]) -> None:
    async def main() -> None:
        await story()

    asyncio.run(main())


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(20):
        while not holds():  # noqa: ASYNC110 a timer of the shadow is what is waited for
            await asyncio.sleep(0.001)


def dropped(shadow: Shadow) -> Mapping[str, int]:
    return {name: n for name, n in shadow.counts.items() if n and name.startswith("dropped_")}


def test_the_answer_is_the_inner_one_and_the_mirror_is_asked_later() -> None:
    async def story() -> None:
        mirror = Mirror(free=False)
        shadow = Shadow(inner, mirror, SOON)
        assert (await drive(shadow, request())).release == "old"
        assert mirror.seen == []
        await until(lambda: bool(mirror.seen))
        assert mirror.seen == [Request("r", {}, 5.0, key="k", tags={"a": "b"}, shadow=True)]
        assert shadow.in_flight == 1
        mirror.free.set()
        await shadow.drain()
        assert {name: n for name, n in shadow.counts.items() if n} == {"seen": 1, "mirrored": 1}

    run(story)


def test_a_mirror_that_fails_is_counted_and_fails_nobody() -> None:
    def refusing(request: Request) -> Response:
        raise TimeoutError("full")

    async def story() -> None:
        for made in (Shadow(inner, Mirror(ArithmeticError("no wind"))), Shadow(inner, refusing)):  # type: ignore[arg-type]
            assert [(await made(request(f"r{k}"))).release for k in range(3)] == ["old"] * 3
            await made.drain()
            assert made.failed == 3

    run(story)


def test_a_request_that_the_inner_handler_fails_is_mirrored_too() -> None:
    async def failing(request: Request) -> Response:
        raise ArithmeticError("no wind")

    async def story() -> None:
        mirror = Mirror()
        shadow = Shadow(failing, mirror)
        with pytest.raises(ArithmeticError, match="no wind"):
            await drive(shadow, request())
        await shadow.drain()
        assert len(mirror.seen) == 1

    run(story)


def test_only_chosen_requests_are_mirrored() -> None:
    async def story() -> None:
        mirror = Mirror()
        shadow = Shadow(inner, mirror, chosen=lambda asked: asked.id in {"r1", "r3"})
        for k in range(5):
            await shadow(request(f"r{k}"))
        await shadow.drain()
        assert [seen.id for seen in mirror.seen] == ["r1", "r3"]
        assert (shadow.counts["seen"], shadow.counts["mirrored"], shadow.counts["dropped"]) == (5, 2, 0)

    run(story)


def test_a_mirror_is_asked_about_so_many_at_a_time_and_the_next_follow_as_it_answers() -> None:
    async def story() -> None:
        mirror = Mirror(free=False)
        shadow = Shadow(inner, mirror, Budget(most_in_flight=2, every_seconds=0.001, most_lag_seconds=60.0))
        for k in range(5):
            await shadow(request(f"r{k}"))
        await until(lambda: len(mirror.seen) == 2)
        await asyncio.sleep(0.005)
        assert (len(mirror.seen), shadow.in_flight) == (2, 5)
        mirror.free.set()
        await until(lambda: not shadow.in_flight)
        assert [seen.id for seen in mirror.seen] == [f"r{k}" for k in range(5)]

    run(story)


def test_what_a_slow_mirror_does_not_keep_up_with_is_dropped_for_the_budget() -> None:
    async def story() -> None:
        mirror = Mirror(free=False)
        shadow = Shadow(inner, mirror, Budget(1, 2, 0.001, 60.0, hanging_seconds=60.0))
        await shadow(request("r0"))
        await until(lambda: bool(mirror.seen))
        answers = [await shadow(request(f"r{k}")) for k in range(1, 6)]
        assert len(answers) == 5
        assert dropped(shadow) == {"dropped_budget": 3}
        assert shadow.counts["dropped"] == 3
        mirror.free.set()
        await shadow.drain()
        assert [seen.id for seen in mirror.seen] == ["r0", "r1", "r2"]

    run(story)


def test_a_mirror_that_answers_nothing_is_said_to_hang() -> None:
    async def story() -> None:
        mirror = Mirror(free=False)
        shadow = Shadow(inner, mirror, Budget(1, 1, 0.001, 60.0, hanging_seconds=0.01))
        await shadow(request("r0"))
        await until(lambda: bool(mirror.seen))
        await shadow(request("r1"))
        await asyncio.sleep(0.02)
        await shadow(request("r2"))
        assert dropped(shadow) == {"dropped_hanging": 1}
        mirror.free.set()
        await shadow.drain()

    run(story)


def test_while_stable_has_a_queue_the_mirror_is_shown_nothing() -> None:
    async def story() -> None:
        mirror, queue = Mirror(), ["somebody"]
        shadow = Shadow(inner, mirror, Budget(8, 2, 0.001, 60.0), busy=lambda: bool(queue))
        for k in range(2):
            await shadow(request(f"r{k}"))
        await asyncio.sleep(0.01)
        await shadow(request("r2"))
        assert mirror.seen == []
        assert dropped(shadow) == {"dropped_busy": 1}
        queue.clear()
        await until(lambda: len(mirror.seen) == 2)

    run(story)


def test_a_loop_that_lags_shows_nothing_before_it_has_caught_up() -> None:
    async def story() -> None:
        mirror = Mirror()
        shadow = Shadow(inner, mirror, Budget(8, 8, every_seconds=0.001, most_lag_seconds=-1.0))
        await shadow(request())
        await asyncio.sleep(0.01)
        assert mirror.seen == []
        await shadow.drain()
        assert len(mirror.seen) == 1

    run(story)


def test_a_mirror_that_was_given_up_is_asked_no_more_and_its_requests_are_dropped_as_that() -> None:
    async def story() -> None:
        mirror, stopped = Mirror(), [""]
        shadow = Shadow(inner, mirror, SOON, stopped=lambda: stopped[0])
        await shadow(request("r0"))
        stopped[0] = "it hung three times"
        await shadow.drain()
        assert (mirror.seen, shadow.in_flight) == ([], 0)
        assert dropped(shadow) == {"dropped_stopped": 1}

    run(story)


def test_a_stream_of_the_mirror_is_read_to_its_end() -> None:
    ended = []

    async def streaming(request: Request) -> Response:
        async def pieces():  # type: ignore[no-untyped-def]
            yield Tensor("word", "BYTES", (1,), ["a"])
            ended.append(request.id)

        return Response(request.id, pieces())

    async def story() -> None:
        shadow = Shadow(inner, streaming)
        await shadow(request())
        await shadow.drain()
        assert ended == ["r"]

    run(story)


def test_draining_nothing_returns_and_several_may_drain() -> None:
    async def story() -> None:
        mirror = Mirror(free=False)
        shadow = Shadow(inner, mirror)
        await shadow.drain()
        await shadow(request())
        waiting = [asyncio.ensure_future(shadow.drain()) for _ in range(2)]
        await asyncio.sleep(0)
        mirror.free.set()
        await asyncio.gather(*waiting)

    run(story)


def test_room_for_nobody_is_refused() -> None:
    with pytest.raises(ValueError, match="`most_in_flight` must be at least 1, got 0"):
        Budget(most_in_flight=0)
